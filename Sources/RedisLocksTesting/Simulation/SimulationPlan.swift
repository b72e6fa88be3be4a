import RedisLocks

/// What a schedule assumes of the world, and thus what must hold in it.
package enum SimulationRegime: String, CaseIterable, Sendable {
    /// Everything must hold, exclusion too. Clocks of clients and nodes run within the drift factor of each other and do not
    /// step; nodes differ by no more than the skew that the fleet tolerates (or are a minority that is filtered out); keys
    /// vanish only with the restart guard on, or not at all: with it off, servers write everything to disk
    /// (`appendfsync always`) and are neither flushed nor rolled back.
    case inside
    /// Tokens must still be unique and ordered, and the store safe; two may hold a lock at once. One of two worlds:
    ///
    /// - *Broken clocks, kept counters*: nodes' clocks step and run at any rate, clients' clocks run at any rate or stand
    ///   still, lock keys vanish at any instant; counters never do (`appendfsync always`, no flush).
    /// - *Lost counters, sound nodes' clocks*: the restart guard is off and servers forget everything, or what they had not
    ///   written, but take longer to come back than the grain of the time anchor and the difference of the nodes' clocks
    ///   together. Lock keys vanish at any instant, clients' clocks run at any rate or stand still.
    case outside
}

/// What a caller may change about a schedule that its seed would decide: to make a failure smaller.
package struct SimulationOptions: Sendable, Hashable {
    package var regime: SimulationRegime?
    package var withoutFaults: SimulationFaults = []
    package var maximumClients = Int.max
    package var maximumOperations = Int.max

    package init(regime: SimulationRegime? = nil) {
        self.regime = regime
    }
}

/// Everything about a schedule that is decided before it begins.
struct SimulationPlan {
    enum World {
        case sound, brokenClocks, lostCounters
    }

    enum Persistence {
        case always, everySecond, none
    }

    struct Server {
        var offset: Int64
        var fastness: Int64
        var persistence: Persistence
        var isDurable: Bool
        var isNew: Bool
    }

    struct Client {
        var fastness: Int64
        var tasks: Int
        var isRaw: Bool
    }

    let regime: SimulationRegime
    let world: World
    let faults: SimulationFaults
    let catalogue: SimulationCatalogue.Entry
    private(set) var terms: [LockTerms]
    let nameCount: Int
    private(set) var servers: [Server] = []
    private(set) var clients: [Client] = []
    let operationsPerTask: Int
    /// Whether a person, or the search for a smaller failure, has limited it.
    let isShortened: Bool
    /// When the faults end.
    let horizon: Int64
    /// The usual time of a request or an answer on its way.
    let latency: Int64
    /// Locks are given back at once and keys vanish all the time: who gets which token is all that matters.
    let isTokenStorm: Bool
    /// Whether clients begin together, so that their attempts meet.
    let isHerd: Bool
    /// Message faults, in thousandths.
    let faultRate: Int
    private(set) var timedFaults: [(time: Int64, fault: SimulationFault)] = []

    var isGuarded: Bool { catalogue.guardTime != nil }
    var majority: Int { servers.count / 2 + 1 }

    init(seed: UInt64, options: SimulationOptions) {
        var random = SimulationRandom(seed: seed, stream: 1)
        let drawnRegime: SimulationRegime = random.chance(600) ? .inside : .outside
        regime = options.regime ?? drawnRegime
        world = regime == .inside ? .sound : random.chance(700) ? .brokenClocks : .lostCounters
        isTokenStorm = world == .brokenClocks && random.chance(450)
        let count = isTokenStorm ? 3 : random.pick([1, 2, 3, 3, 3, 3, 3, 3, 4, 5])
        let isGuarded = world == .lostCounters ? false : random.chance(650)
        var drawn = Self.drawFaults(&random, world: world, isGuarded: isGuarded)
        if isTokenStorm {
            // Mostly alone: what stops everything for a while stops the race.
            drawn = random.chance(700) ? Self.tokenStorm : drawn.union(Self.tokenStorm)
        }
        faults = drawn.subtracting(options.withoutFaults)
        catalogue =
            SimulationCatalogue.shared[
                SimulationCatalogue.Choice(
                    ttls: random.below(SimulationCatalogue.ttls.count), drift: random.below(3), isGuarded: isGuarded,
                    isStrict: drawn.has(.skew) || random.chance(200), isAlone: count == 1)]
        nameCount = isTokenStorm ? 1 : random.pick([1, 1, 2, 3])
        // A storm: everything happens at once, within one grain of the time anchor.
        let isStorm = isTokenStorm || random.chance(300)
        let operations = isTokenStorm ? 6 + random.below(6) : isStorm ? 2 + random.below(2) : 1 + random.below(3)
        isShortened = options.maximumOperations < .max
        operationsPerTask = min(operations, options.maximumOperations)
        latency = isStorm ? random.between(20_000, 300_000) : random.between(50_000, 3_000_000)
        horizon =
            isTokenStorm
            ? latency * random.between(300, 1000)
            : isStorm
                ? random.between(300_000_000, 2_000_000_000)
                : catalogue.maximumTTL * 4 + (random.chance(300) ? catalogue.guardTime ?? 0 : 0)
        isHerd = !isTokenStorm && random.chance(400)
        faultRate = random.pick([5, 20, 60, 150])
        terms = catalogue.terms
        adjustTerms(&random)
        servers = (0..<count).map { _ in server(&random) }
        if faults.has(.skew), count > 2 { servers[random.below(count)].offset += 200_000_000 }
        clients = (0..<(3 + (random.chance(200) ? 1 + random.below(2) : 0))).map { _ in client(&random) }
        if clients.count > options.maximumClients { clients.removeLast(clients.count - options.maximumClients) }
        timedFaults = drawTimes(seed)
    }

    // MARK: Which faults

    private static let always: [SimulationFault] = [
        .delay, .duplicate, .breakage, .halfOpen, .partition, .serverPause, .outOfMemory, .scriptFlush, .busy,
        .stranger,
        .clientPause, .suspension, .clientCrash, .cancellation, .divergedCounters, .raisedCounters, .tinyTimeouts,
        .crash,
    ]

    private static func drawFaults(
        _ random: inout SimulationRandom, world: World, isGuarded: Bool
    ) -> SimulationFaults {
        var allowed = always
        switch world {
        case .sound:
            allowed += [.skew, .massacre]
            if isGuarded { allowed += [.flush, .rollback] }
        case .brokenClocks: allowed += [.skew, .clockStep, .clockRate, .frozenClock, .eviction, .eviction]
        case .lostCounters: allowed += [.massacre, .rollback, .clockRate, .frozenClock, .eviction]
        }
        let likelihood = random.pick([120, 250, 400])
        var faults = SimulationFaults(allowed.filter { _ in random.chance(likelihood) })
        // One at least that strikes for certain.
        if faults.isDisjoint(with: SimulationFaults(timed)) {
            faults.insert(SimulationFaults(random.pick(allowed.filter(timed.contains))))
        }
        return faults
    }

    private static let tokenStorm = SimulationFaults([.eviction, .duplicate, .delay, .divergedCounters])

    private func drawTimes(_ seed: UInt64) -> [(Int64, SimulationFault)] {
        var times: [(Int64, SimulationFault)] = []
        for fault in Self.timed where faults.has(fault) {
            // A stream for each, so that leaving one out moves nothing else.
            var random = SimulationRandom(seed: seed, stream: 100 + UInt64(fault.rawValue))
            let count = fault == .eviction ? 4 + random.below(12) : 1 + random.below(3)
            for _ in 0..<count { times.append((random.between(0, horizon * 4 / 5), fault)) }
        }
        return times
    }

    private static let timed: [SimulationFault] = [
        .breakage, .halfOpen, .partition, .serverPause, .crash, .massacre, .flush, .rollback, .outOfMemory,
        .scriptFlush,
        .busy, .stranger, .clientPause, .suspension, .clientCrash, .clockStep, .clockRate, .frozenClock, .eviction,
    ]

    // MARK: Clocks, terms, persistence

    /// In the sound world clients and nodes may each deviate by not quite half of the drift factor.
    private var tolerated: Int64 { Int64(catalogue.driftFactor * 480_000) }

    private func server(_ random: inout SimulationRandom) -> Server {
        var fastness: Int64 = 0
        var spread: Int64 = 200_000_000
        switch world {
        case .sound:
            // Where counters may be lost, nodes rely on each other's time: they may not come apart by more than the skew.
            let limit = tolerated
            let mustAgree = isGuarded || catalogue.maximumSkew < 1_000_000_000
            fastness = mustAgree ? random.between(-20, 20) : random.between(-limit, limit)
            if catalogue.maximumSkew < 1_000_000_000 { spread = 10_000_000 }
        case .brokenClocks: spread = 2_000_000_000
        case .lostCounters: spread = Self.greatestSkewOfLostCounters / 2 - 10_000_000
        }
        let isAlways = world == .brokenClocks || (world == .sound && !isGuarded)
        let persistence: Persistence = isAlways ? .always : random.pick([.always, .everySecond, .none])
        let isDurable = persistence == .always && !faults.has(.rollback) && random.chance(500)
        return Server(
            offset: random.between(-spread, spread), fastness: fastness, persistence: persistence,
            isDurable: isDurable, isNew: isGuarded && random.chance(30))
    }

    /// The difference of the nodes' clocks for which restarts in the world of lost counters make up.
    static let greatestSkewOfLostCounters: Int64 = 200_000_000

    private func client(_ random: inout SimulationRandom) -> Client {
        let limit = tolerated
        return Client(
            fastness: random.between(-limit, limit), tasks: random.chance(150) ? 2 : 1, isRaw: random.chance(120))
    }

    private mutating func adjustTerms(_ random: inout SimulationRandom) {
        let isTiny = faults.has(.tinyTimeouts)
        let timeout = isTiny ? Duration.nanoseconds(latency * random.between(2, 5)) : nil
        let hold = random.chance(250) ? random.between(1, 3) : nil
        let isGenerous = random.chance(300)
        for index in terms.indices {
            let ttl = terms[index].ttl
            if let timeout { terms[index].nodeTimeout = min(timeout, terms[index].nodeTimeout) }
            if let hold { terms[index].maximumHold = ttl * Int(hold) }
            if isGenerous, !isTiny {
                // As much time for a request, and as little left of a lease, as there may be.
                terms[index].nodeTimeout = ttl / 4
                terms[index].minimumValidity = ttl / 4 + .milliseconds(1)
            }
        }
    }
}
