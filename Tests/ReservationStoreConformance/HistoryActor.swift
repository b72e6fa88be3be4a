import Reservations

/// One of those who act in a random history: what it did, and what it was told.
struct HistoryActor: Sendable {
    enum Deed: Sendable {
        case reserve([Line], key: String)
        case confirm(ReservationID, key: String?)
        case cancel(ReservationID)
        case giveBack(ReservationID)
        case extend(ReservationID)
    }

    let name: String
    let service: ReservationService
    let rig: Rig
    var dice: Dice
    /// The last that it was told of each of its reservations.
    var told: [ReservationID: Reservation] = [:]
    /// Those whose time was made to run out.
    var aged: Set<ReservationID> = []
    /// What may have happened: to be repeated when the line is sound again.
    var unresolved: [Deed] = []
    private var keys: [(key: String, lines: [Line], id: ReservationID)] = []
    private var serial = 0

    init(name: String, service: ReservationService, rig: Rig, seed: UInt64) {
        self.name = name
        self.service = service
        self.rig = rig
        dice = Dice(seed: seed)
    }

    mutating func step() async throws {
        serial += 1
        let own = told.keys.sorted { $0.description < $1.description }.randomElement(using: &dice)
        switch Int.random(in: 0..<100, using: &dice) {
        case 0..<40: try await act(.reserve(randomLines(), key: "key \(serial)"))
        case 40..<48:
            guard let old = keys.randomElement(using: &dice) else { return }
            try await act(.reserve(old.lines, key: old.key), expecting: old.id)
        case 48..<66: if let own { try await act(.confirm(own, key: dice.chance(50) ? "pay \(serial)" : nil)) }
        case 66..<80: if let own { try await act(.cancel(own)) }
        case 80..<86: if let own { try await act(.giveBack(own)) }
        case 86..<90: if let own { try await act(.extend(own)) }
        case 90..<96:
            guard let own else { return }
            try await rig.harness.age(own, by: .seconds(400))
            aged.insert(own)
        default: _ = try? await service.sweep()
        }
    }

    private mutating func randomLines() -> [Line] {
        let count = Int.random(in: 1...3, using: &dice)
        return RandomHistory.buckets.shuffled(using: &dice).prefix(count).map {
            Line($0, quantity: $0.kind == .seat ? 1 : Int.random(in: 1...2, using: &dice))
        }
    }

    private mutating func act(_ deed: Deed, expecting id: ReservationID? = nil) async throws {
        let task = Task { [name, service] in
            try await outcome { () async throws(ReservationError) in
                try await Self.perform(deed, service, name)
            }
        }
        if dice.chance(8) {
            for _ in 0..<Int.random(in: 0..<10, using: &dice) { await Task.yield() }
            task.cancel()
        }
        switch try await task.value {
        case .success(let reservation):
            try check(id == nil || reservation.id == id, "A repeated key answered another reservation.")
            record(reservation, deed)
        case .failure(let error):
            try Self.requireHonest(error)
            if error.code == .outcomeUnknown { unresolved.append(deed) }
        }
    }

    /// Nothing in a history gives a store a reason to fail, to be set up wrongly or to be closed.
    private static func requireHonest(_ error: ReservationError) throws {
        let never: [ReservationError.Code] = [.failed, .misconfigured, .closed]
        try check(!never.contains(error.code), "\(error.code.name): \(error.message)")
    }

    private mutating func record(_ reservation: Reservation, _ deed: Deed) {
        told[reservation.id] = reservation
        if case .reserve(let lines, let key) = deed { keys.append((key, lines, reservation.id)) }
    }

    private static func perform(
        _ deed: Deed, _ service: ReservationService, _ name: String
    ) async throws(ReservationError) -> Reservation {
        switch deed {
        case .reserve(let lines, let key): try await service.reserve(lines, for: name, key: key)
        case .confirm(let id, let key): try await service.confirm(id, for: name, key: key)
        case .cancel(let id): try await service.cancel(id, for: name)
        case .giveBack(let id): try await service.giveBack(id, for: name)
        case .extend(let id): try await service.extend(id, for: name, ttl: .seconds(900))
        }
    }

    /// Repeats, over a sound line, everything whose outcome is unknown. Any answer but "unknown" settles it.
    mutating func settle() async throws {
        for deed in unresolved {
            switch try await outcome({ () async throws(ReservationError) in try await Self.perform(deed, service, name)
            })
            {
            case .success(let reservation): record(reservation, deed)
            case .failure(let error):
                try Self.requireHonest(error)
                try check(error.code != .outcomeUnknown, "Still unknown over a sound line.")
            }
        }
    }

    /// What a reservation has come to, which must be what its owner was told or what may have become of that.
    func verify(_ id: ReservationID) async throws -> Reservation {
        guard let last = told[id] else { throw ContractViolation("Nothing was told of \(id).") }
        let now = try await service.status(id, for: name)
        let touched = unresolved.contains { $0.touches(id) }
        let allowed: Bool =
            switch (last.state, now.state) {
            case (.held, .held), (.confirmed, .confirmed), (.cancelled, .cancelled), (.expired, .expired),
                (.returned, .returned):
                true
            case (.held, .expired): aged.contains(id)
            case (.held, _), (.confirmed, .returned): touched
            default: false
            }
        try check(allowed, "\(name) was told that it is \(last.state), and it is \(now.state).")
        try same(now.lines, last.lines, "Lines")
        return now
    }
}

extension HistoryActor.Deed {
    func touches(_ reservation: ReservationID) -> Bool {
        switch self {
        case .reserve: false
        case .confirm(let id, _), .cancel(let id), .giveBack(let id), .extend(let id): id == reservation
        }
    }
}
