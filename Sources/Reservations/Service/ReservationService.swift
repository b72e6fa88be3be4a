import Logging
import ServiceLifecycle

/// Reservations of inventory that cannot oversell.
///
/// ```swift
/// let service = try ReservationService(store: store, logger: logger)
/// let hold = try await service.reserve([Line(.seat("concert", "A12"))], for: "buyer-7", key: "click-1")
/// // ... the buyer pays, outside any transaction ...
/// _ = try await service.confirm(hold.id, for: "buyer-7", key: paymentID)
/// ```
///
/// Hold, pay, confirm: nothing is locked while somebody pays, and a hold that is neither confirmed nor cancelled ends by
/// itself. Every call may be cancelled and leaves no half effect; one that was cancelled, or whose answer got lost, may be
/// repeated with the same key, and answers what it did the first time.
public final class ReservationService: Service, Sendable {
    let store: any ReservationStore
    let configuration: Configuration
    let observer: ReservationObserver

    /// Makes a service. It does not bring the schema up to date: call ``ReservationStore/migrate()`` for that.
    ///
    /// - Throws: ``ReservationError/Code/invalidRequest(_:)`` for limits that make no sense.
    public init(
        store: any ReservationStore, configuration: Configuration = Configuration(),
        logger: Logger = Logger(label: "reservations", factory: { _ in SwiftLogNoOpLogHandler() })
    ) throws(ReservationError) {
        try configuration.check()
        self.store = store
        self.configuration = configuration
        observer = ReservationObserver(logger: logger)
    }

    // MARK: For buyers

    /// Holds all lines, or none.
    ///
    /// - Parameters:
    ///   - lines: what is wanted. Lines for the same bucket are added up.
    ///   - holder: whose it will be: 1 to ``ReservationLimits/textLength`` bytes.
    ///   - ttl: for how long, within the limits; ``Configuration/hold`` by default.
    ///   - key: names this request among the holder's: repeated with it, the request answers what it did the first time.
    /// - Returns: the reservation as it stands: `held`, unless the key was used before and something has happened since.
    /// - Throws: ``ReservationError``: out of stock, seats taken, too many holds, busy, a key that is used otherwise, or a
    ///   request that makes no sense.
    public func reserve(
        _ lines: [Line], for holder: String, ttl: Duration? = nil, key: String? = nil
    ) async throws(ReservationError) -> Reservation {
        try await reserve(try claim(lines, for: holder, ttl: ttl, key: key))
    }

    func reserve(_ claim: Claim) async throws(ReservationError) -> Reservation {
        let strategy = strategy(for: claim.cart)
        if let queued = strategy.implementation as? QueuedStrategy {
            return try await reserveInLine(claim, queued.line)
        }
        return try await Reserving(claim, strategy: strategy, service: self).run()
    }

    /// A request that was checked.
    func claim(
        _ lines: [Line], for holder: String, ttl: Duration?, key: String?
    ) throws(ReservationError) -> Claim {
        let limits = configuration.limits
        let cart = try Cart(merging: lines, limits: limits)
        try check(holder: holder, key: key)
        // What was asked, not what the default is: a request may be repeated after the default was changed.
        let fingerprint = Fingerprint.of("reserve", cart, [Fingerprint.text(of: ttl)])
        let ttl = ttl ?? configuration.hold
        try check(hold: ttl)
        let strategy = strategy(for: cart)
        if let most = strategy.implementation.maximumBuckets, cart.lines.count > most {
            throw .tooManyBuckets(cart.lines.count, maximum: most, strategy: strategy.name)
        }
        return Claim(
            id: .make(), holder: holder, cart: cart, ttl: ttl, totalHold: limits.maximumTotalHold,
            maximumLiveHolds: limits.liveHoldsPerHolder,
            request: key.map { RequestKey(caller: holder, key: $0, operation: "reserve", fingerprint: fingerprint) })
    }

    /// Sells what is held.
    ///
    /// - Throws: ``ReservationError/Code/holdExpired(at:)`` when it is too late, unless
    ///   ``Configuration/LateConfirmation/rehold`` finds the units still there.
    public func confirm(
        _ id: ReservationID, for holder: String, key: String? = nil
    ) async throws(ReservationError) -> Reservation {
        try await resolve(.confirm, id, holder: holder, key: key)
    }

    /// Gives back what is held. Repeated, it answers the same.
    public func cancel(
        _ id: ReservationID, for holder: String, key: String? = nil
    ) async throws(ReservationError) -> Reservation {
        try await resolve(.cancel, id, holder: holder, key: key)
    }

    /// Takes back what was sold: the units are there for others again.
    public func giveBack(
        _ id: ReservationID, for holder: String, key: String? = nil
    ) async throws(ReservationError) -> Reservation {
        try await resolve(.return, id, holder: holder, key: key)
    }

    /// Holds on for `ttl` from now, at most until the reservation's hard deadline.
    public func extend(
        _ id: ReservationID, for holder: String, ttl: Duration? = nil, key: String? = nil
    ) async throws(ReservationError) -> Reservation {
        try check(holder: holder, key: key)
        let fingerprint = Fingerprint.of("extend", ["\(id)", Fingerprint.text(of: ttl)])
        let ttl = ttl ?? configuration.hold
        try check(hold: ttl)
        let start = ContinuousClock.now
        let change = HoldExtension(
            id: id, holder: holder, ttl: ttl,
            request: key.map { RequestKey(caller: holder, key: $0, operation: "extend", fingerprint: fingerprint) })
        let asked = try await changing("extend", unless: \.isRefusal) { () async throws(StoreError) in
            try await self.store.extend(change)
        }
        return try reservation(from: asked, "extend", since: start)
    }

    /// A reservation as it stands.
    ///
    /// - Throws: ``ReservationError/Code/notFound``, also for somebody else's.
    public func status(_ id: ReservationID, for holder: String) async throws(ReservationError) -> Reservation {
        try check(holder: holder, key: nil)
        let found = try await asking("status") { () async throws(StoreError) in
            try await self.store.reservation(id, holder: holder)
        }
        guard let found else { throw .notFound(attempts: 1) }
        return found
    }

    /// All buckets of an item, sorted, at most `limit` after `last`.
    public func availability(
        of item: String, after last: Bucket? = nil, limit: Int = 1_000
    ) async throws(ReservationError) -> [BucketState] {
        try check(item: item)
        if let flaw = last?.flaw { throw .invalid("/after", flaw) }
        let limit = min(max(limit, 1), 10_000)
        return try await asking("availability") { () async throws(StoreError) in
            try await self.store.states(ofItem: item, after: last, limit: limit)
        }
    }

    // MARK: For operators

    /// Adds to a bucket's capacity, or takes away from it; makes the bucket if there is none.
    ///
    /// After ``ReservationError/Code/outcomeUnknown`` only a call with the same `key` is safe: without one, the next call is
    /// another change. Look into ``ledger(ofItem:after:limit:)`` first.
    ///
    /// - Throws: ``ReservationError/Code/capacityBelowCommitments(_:committed:)``.
    @discardableResult
    public func restock(
        _ bucket: Bucket, by delta: Int, actor: String, key: String? = nil
    ) async throws(ReservationError) -> BucketState {
        if let flaw = bucket.flaw { throw .invalid("/bucket", flaw) }
        try check(holder: actor, key: key)
        guard (-bucket.maximumCapacity...bucket.maximumCapacity).contains(delta) else {
            throw .aboveMaximum(bucket)
        }
        let start = ContinuousClock.now
        // Without a key of the caller's it gets one of ours: a repetition after a lost answer must not add twice.
        let request = RequestKey(
            caller: actor, key: key ?? "restock-\(ReservationID.make())", operation: "restock",
            fingerprint: Fingerprint.of("restock", Cart(trusted: [Line(bucket, quantity: delta)]), []))
        let change = StockChange(bucket: bucket, delta: delta, actor: actor, request: request)
        let asked = try await changing("restock", unless: \.isRefusal) { () async throws(StoreError) in
            try await self.store.restock(change)
        }
        let error: ReservationError
        switch asked.answer {
        case .done(let state):
            observer.done("restock", since: start)
            return state
        case .replayed(let state):
            observer.replayed("restock", since: start)
            return state
        case .belowCommitments(let committed):
            error = ReservationError(
                .capacityBelowCommitments(bucket, committed: committed),
                "\(bucket) has \(committed) held or sold; its capacity cannot be less.",
                attempts: asked.attempts)
        case .aboveMaximum: error = .aboveMaximum(bucket, attempts: asked.attempts)
        case .key where key == nil: error = .underWay(attempts: asked.attempts)
        case .key(let problem): error = .keyProblem(problem, attempts: asked.attempts)
        }
        observer.refused("restock", error, since: start)
        throw error
    }

    /// The book, oldest first.
    public func ledger(
        ofItem item: String? = nil, after sequence: Int64 = 0, limit: Int = 1_000
    ) async throws(ReservationError) -> [LedgerEntry] {
        if let item { try check(item: item) }
        let limit = min(max(limit, 1), 10_000)
        return try await asking("ledger") { () async throws(StoreError) in
            try await self.store.ledger(ofItem: item, after: sequence, limit: limit)
        }
    }

    /// Compares everything with everything, and reports. Repairs nothing.
    public func audit() async throws(ReservationError) -> AuditReport {
        let grace = configuration.sweepInterval * 3 + .seconds(5)
        return try await asking("audit") { () async throws(StoreError) in try await self.store.audit(grace: grace) }
    }

    /// Ends the holds whose time is up. Returns how many.
    ///
    /// ``run()`` does it by itself, and a claim that finds too little does it for its own buckets first.
    @discardableResult
    public func sweep() async throws(ReservationError) -> Int {
        var total = 0
        while true {
            let ended = try await asking("sweep") { () async throws(StoreError) in
                try await self.store.expire(nil, limit: Self.sweepBatch)
            }
            total += ended.count
            observer.expired(ended.count)
            if ended.count < Self.sweepBatch || Task.isCancelled { return total }
        }
    }

    static let sweepBatch = 200

    func strategy(for cart: Cart) -> Strategy {
        configuration.strategy(for: cart)
    }
}
