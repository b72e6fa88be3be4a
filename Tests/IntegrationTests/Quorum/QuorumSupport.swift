import RedisLocks
import RedisLocksTesting
import TestSupport
import Testing

/// Private servers that vote, and a client of them.
func withNodes(
    _ options: RedisTestQuorum.Options = .init(),
    configuration: RedisLocks.Configuration = .patient,
    _ body: (RedisTestQuorum, RedisLocks) async throws -> Void
) async throws {
    try await RedisTestQuorum.with(options) { quorum in
        try await quorum.withClient(configuration) { locks in
            if options.count > 1 {
                for node in try await locks.initializeNodes() { #expect(node.outcome == .initialized) }
            }
            // The first request of a client may wait for connections as long as those may take; here it is done.
            try await locks.connect()
            try await body(quorum, locks)
        }
    }
}

extension RedisTestQuorum {
    /// One more client: another process, as far as the nodes can tell.
    func withClient(
        _ configuration: RedisLocks.Configuration = .patient, isDirect: Bool = false,
        _ body: (RedisLocks) async throws -> Void
    ) async throws {
        let urls = isDirect ? directURLs : urls
        let nodes = urls.count == 1 ? LockNodes.node(urls[0]) : .redlock(urls)
        try await RedisLocks.with(nodes, configuration: configuration) { locks in try await body(locks) }
    }

    /// Waits until nobody holds the name anywhere: requests that clean up are on their way when the client has its answer.
    func waitUntilFree(_ name: String) async throws {
        try await waitUntil("\(name) is free on every node") { try holders(of: name).isEmpty }
    }

    /// A grant needs a majority only; the others follow. What has expired by a node's clock is there until somebody looks.
    func waitUntilHeld(_ name: String, by nodes: [Int]) async throws {
        try await waitUntil("\(name) is held by the nodes \(nodes)") { try holders(of: name) == nodes }
    }
}

extension RedisLocks.Configuration {
    /// Nodes that do not answer are given up soon. Whoever expects a grant must not use it: the machine may be slow.
    static var brisk: RedisLocks.Configuration {
        var configuration = RedisLocks.Configuration.patient
        configuration.nodeTimeout = .seconds(1)
        return configuration
    }

    /// Leases that end soon if they are not renewed, on nodes that abstain for 3 s and a bit after a restart.
    static func short(_ ttl: Duration, maximumTTL: Duration? = nil) -> RedisLocks.Configuration {
        var configuration = RedisLocks.Configuration()
        configuration.ttl = ttl
        configuration.maximumTTL = maximumTTL ?? ttl
        // As long as it may be, for a slow machine.
        configuration.nodeTimeout = ttl * 3 / 10
        return configuration
    }

    func with(_ change: (inout RedisLocks.Configuration) -> Void) -> RedisLocks.Configuration {
        var configuration = self
        change(&configuration)
        return configuration
    }

    /// What a lease is valid for, from the start of the attempt.
    var validity: Duration { ttl - ttl * driftFactor - .milliseconds(2) }
}

extension Wait {
    /// One try.
    static var once: Wait { .upTo(.zero) }
    /// Longer than anything here lasts.
    static var patient: Wait { .upTo(.seconds(60)) }
}

/// Above every clock's anchor, so that a test says itself what the nodes' counters are.
let farAhead: Int64 = 8_000_000_000_000_000

extension LockError {
    var outcomes: [NodeReport.Outcome] { nodes.map(\.outcome) }

    /// The nodes that did not vote because of the restart guard, and for how long they will not.
    var quarantines: [Duration] {
        outcomes.compactMap { if case .quarantined(let remaining) = $0 { remaining } else { nil } }
    }

    var skews: [Duration] {
        outcomes.compactMap { if case .clockSkewed(let skew) = $0 { skew } else { nil } }
    }

    /// The words of the nodes that answered with an error.
    var refusals: [String] {
        outcomes.compactMap { if case .refused(let words) = $0 { words } else { nil } }
    }

    /// The number of nodes that could not be heard.
    var silentCount: Int {
        outcomes.count {
            switch $0 {
            case .timedOut, .unreachable: true
            default: false
            }
        }
    }
}

/// The error of one try to take `name`.
func refusal(
    _ locks: RedisLocks, _ name: String = "x", wait: Wait = .once, sourceLocation: SourceLocation = #_sourceLocation
) async throws -> LockError {
    try await #require(throws: LockError.self, sourceLocation: sourceLocation) {
        _ = try await locks.acquire(name, wait: wait)
    }
}
