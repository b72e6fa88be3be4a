import Reactor

/// Whoever needs a connection kept up. Called on the Reactor.
protocol ConnectorOwner: AnyObject {
    /// Whether a lost connection should be replaced.
    var wantsConnection: Bool { get }
    /// The handshake is done.
    func connectorIsReady()
    /// Something came in on the ready connection. Called below hiredis.
    func connectorDidReceive(_ value: RedisValue)
    /// The ready connection is gone.
    func connectorDidLose(_ error: RedisError)
    /// An attempt failed; the health says what follows.
    func connectorDidFail(_ error: RedisError)
    func connectorHealthDidChange(_ health: RedisHealth)
}

/// The life of one connection: resolve, try the addresses, shake hands, and again after a back-off.
///
/// Belongs to the Reactor. It and its owner refer to each other until ``close()``.
final class Connector: LinkDelegate {
    private enum State {
        case idle
        case resolving
        case connecting(Link)
        case shakingHands(Link, Handshake)
        case ready(Link, since: ContinuousClock.Instant)
        case backingOff
        case refused(RedisError, until: ContinuousClock.Instant)
        case closed
    }

    /// More addresses than this would leave none of them a fair share of the connect timeout.
    private static let maximumAddresses = 8

    let location: String
    private let url: RedisURL
    private let configuration: RedisConfiguration
    private let preamble: RedisPreamble
    private let reactor: Reactor
    private let resolver: Resolver
    private var question: Resolver.Question?
    private var owner: (any ConnectorOwner)?

    private var state = State.idle
    private var backOff: BackOff
    private var timer: TimerID?
    private var attemptDeadline = ContinuousClock.now
    private var addresses: ArraySlice<LinkAddress> = []
    private var lastError: RedisError?
    /// How many handshakes have succeeded.
    private(set) var generation: UInt64 = 0
    private(set) var health = RedisHealth.idle

    init(
        url: RedisURL, configuration: RedisConfiguration, preamble: RedisPreamble, reactor: Reactor,
        resolver: Resolver, owner: any ConnectorOwner
    ) {
        self.url = url
        self.configuration = configuration
        self.preamble = preamble
        self.reactor = reactor
        self.resolver = resolver
        self.owner = owner
        location = url.location
        backOff = BackOff(base: configuration.backOffBase, ceiling: configuration.backOffCeiling)
    }

    // MARK: What the owner asks

    /// Says that there is something to do. Starts an attempt unless one is under way or must wait.
    ///
    /// - Returns: the error of a server that refused us lately; then no attempt is made.
    func demand() -> RedisError? {
        switch state {
        case .idle: startAttempt()
        case .refused(let error, let until):
            guard reactor.now >= until else { return error }
            startAttempt()
        case .resolving, .connecting, .shakingHands, .ready, .backingOff, .closed: break
        }
        return nil
    }

    /// Sends on the ready connection. False when there is none.
    func send(_ command: RedisCommand) -> Bool {
        guard case .ready(let link, _) = state else { return false }
        return link.send(command)
    }

    var isReady: Bool { if case .ready = state { true } else { false } }

    var currentLink: Link? {
        switch state {
        case .connecting(let link), .shakingHands(let link, _), .ready(let link, _): link
        case .idle, .resolving, .backingOff, .refused, .closed: nil
        }
    }

    /// A reply has come that nobody but a healthy server sends: the next trouble is a new one.
    func confirmHealthy() {
        backOff.reset()
    }

    /// Gives up the ready connection, and replaces it if it is wanted.
    func replace(because error: RedisError) {
        guard case .ready(let link, _) = state else { return }
        link.close()
        lose(error)
    }

    /// Lets go of the connection, or of the attempt at one: nobody needs it any more.
    func release() {
        if case .closed = state { return }
        currentLink?.close()
        abandonLookup()
        cancelTimer()
        state = .idle
        setHealth(.idle)
    }

    func close() {
        if case .closed = state { return }
        currentLink?.close()
        abandonLookup()
        cancelTimer()
        state = .closed
        setHealth(.closed)
        owner = nil
    }

    // MARK: An attempt

    private func startAttempt() {
        setHealth(.connecting)
        lastError = nil
        attemptDeadline = reactor.now + configuration.connectTimeout
        switch url.endpoint {
        case .unix(let path): tryAddresses([.unix(path: path)])
        case .tcp(let host, let port) where Resolver.isNumeric(host):
            tryAddresses([.tcp(address: host, port: port)])
        case .tcp(let host, let port):
            state = .resolving
            setTimer(at: attemptDeadline) { [location] in
                RedisError(.resolutionFailed, "The name service did not find \(location) in time.")
            }
            question = resolver.resolve([host]) { [weak self] in self?.resolved($0[host], port: port) }
        }
    }

    private func abandonLookup() {
        if let question { resolver.abandon(question) }
        question = nil
    }

    private func resolved(_ result: Result<[String], Resolver.LookupFailure>?, port: Int) {
        guard case .resolving = state, let result else { return }
        question = nil
        switch result {
        case .success(let found):
            tryAddresses(found.prefix(Self.maximumAddresses).map { .tcp(address: $0, port: port) })
        case .failure(let failure):
            fail(RedisError(.resolutionFailed, "Could not find the address of \(location): \(failure.text)."))
        }
    }

    private func tryAddresses(_ addresses: [LinkAddress]) {
        self.addresses = addresses[...]
        // Not below the owner's submit: an immediate refusal would complete commands inside it.
        state = .resolving
        reactor.atEndOfTurn { [weak self] in
            guard let self, case .resolving = self.state else { return }
            self.tryNextAddress()
        }
    }

    /// Each address gets an equal share of what is left of the attempt's time.
    private func tryNextAddress() {
        cancelTimer()
        let share = (attemptDeadline - reactor.now) / max(addresses.count, 1)
        guard let address = addresses.popFirst(), share > .zero else {
            return fail(
                lastError ?? RedisError(.connectTimedOut, "Connecting to \(location) took too long."))
        }
        let link = Link(limits: configuration.limits, location: location, reactor: reactor, delegate: self)
        state = .connecting(link)
        setTimer(at: reactor.now + share) { [location, configuration] in
            RedisError(
                .connectTimedOut,
                "\(location) did not answer within \(configuration.connectTimeout) (connectTimeout).")
        }
        do throws(RedisError) {
            try link.connect(to: address, keepalive: configuration.keepalive)
        } catch {
            attemptFailed(error)
        }
    }

    /// One address did not work; what the server itself said is not worth repeating at the next.
    private func attemptFailed(_ error: RedisError) {
        currentLink?.close()
        if lastError == nil || error.serverError != nil { lastError = error }
        if error.isPermanent { return fail(error) }
        tryNextAddress()
    }

    private func fail(_ error: RedisError) {
        cancelTimer()
        abandonLookup()
        addresses = []
        enterBackOff(after: error)
        owner?.connectorDidFail(error)
    }

    private func enterBackOff(after error: RedisError) {
        if error.isPermanent {
            let until = reactor.now + configuration.backOffCeiling
            state = .refused(error, until: until)
            setHealth(.refused(error))
            return
        }
        var generator = SystemRandomNumberGenerator()
        let until = reactor.now + backOff.next(using: &generator)
        state = .backingOff
        timer = reactor.schedule(at: until) { [weak self] in self?.backOffIsOver() }
        setHealth(.backingOff(until: until, error))
    }

    private func backOffIsOver() {
        timer = nil
        guard case .backingOff = state else { return }
        if owner?.wantsConnection == true { return startAttempt() }
        state = .idle
        setHealth(.idle)
    }

    // MARK: The link

    func linkDidConnect(_ link: Link) {
        guard case .connecting(let current) = state, current === link else { return }
        let handshake = Handshake(url: url, clientName: configuration.clientName, preamble: preamble)
        state = .shakingHands(link, handshake)
        for command in handshake.commands { _ = link.send(command) }
    }

    func link(_ link: Link, didReceive value: RedisValue) {
        switch state {
        case .ready(let current, _) where current === link: owner?.connectorDidReceive(value)
        case .shakingHands(let current, var handshake) where current === link:
            let progress = handshake.receive(value, from: location)
            state = .shakingHands(link, handshake)
            switch progress {
            case .more: break
            case .done: becomeReady(link)
            case .failed(let error): attemptFailed(error)
            }
        default: break
        }
    }

    private func becomeReady(_ link: Link) {
        cancelTimer()
        addresses = []
        generation += 1
        state = .ready(link, since: reactor.now)
        setHealth(.ready)
        owner?.connectorIsReady()
    }

    func link(_ link: Link, didFail error: RedisError) {
        switch state {
        case .connecting(let current) where current === link: attemptFailed(error)
        case .shakingHands(let current, _) where current === link: attemptFailed(handshakeError(error))
        case .ready(let current, _) where current === link: lose(error)
        default: break
        }
    }

    /// Last words that came instead of a handshake's reply are a refusal, if they are of that kind.
    private func handshakeError(_ error: RedisError) -> RedisError {
        guard let serverError = error.serverError else { return error }
        return .refusal(of: "the connection", by: location, serverError)
    }

    private func lose(_ error: RedisError) {
        if case .ready(_, let since) = state, reactor.now - since > configuration.backOffCeiling { backOff.reset() }
        // Even if nobody needs a connection now: a server that drops us must not be called again in the same breath.
        enterBackOff(after: error)
        owner?.connectorDidLose(error)
    }

    // MARK: Helpers

    private func setHealth(_ health: RedisHealth) {
        guard self.health != health else { return }
        self.health = health
        owner?.connectorHealthDidChange(health)
    }

    private func setTimer(at deadline: ContinuousClock.Instant, error: @escaping () -> RedisError) {
        cancelTimer()
        timer = reactor.schedule(at: deadline) { [weak self] in
            guard let self else { return }
            self.timer = nil
            if case .resolving = self.state { return self.fail(error()) }
            self.attemptFailed(error())
        }
    }

    private func cancelTimer() {
        if let timer { reactor.cancel(timer) }
        timer = nil
    }
}
