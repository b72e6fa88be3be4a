import RedisLocks

/// The settings of locks that schedules choose from. Made once: checking a configuration costs more than a whole acquire.
struct SimulationCatalogue: Sendable {
    struct Entry: Sendable {
        let driftFactor: Double
        let maximumTTL: Int64
        let guardTime: Int64?
        let maximumSkew: Int64
        let settings: EngineSettings
        /// Of every ttl that is used.
        let terms: [LockTerms]
    }

    struct Choice {
        /// Which row of ``ttls``.
        var ttls: Int
        /// Which of ``drifts``.
        var drift: Int
        var isGuarded: Bool
        /// Whether clocks must agree closely.
        var isStrict: Bool
        var isAlone: Bool
    }

    /// Milliseconds; the last one of a row is the fleet's maximum.
    static let ttls: [[Int64]] = [[100, 300], [200, 600], [500, 1000], [1000, 2000]]
    static let drifts = [0.01, 0.05, 0.1]
    static let names: [LockName] = ["a", "b", "c", "d"].compactMap { try? LockName($0) }

    static let shared = SimulationCatalogue()

    private let entries: [Entry]

    private init() {
        var entries: [Entry] = []
        for index in 0..<(Self.ttls.count * Self.drifts.count * 8) {
            entries.append(Self.entry(Self.choice(at: index)))
        }
        self.entries = entries
    }

    subscript(_ choice: Choice) -> Entry { entries[Self.index(of: choice)] }

    private static func index(of choice: Choice) -> Int {
        ((choice.ttls * drifts.count + choice.drift) * 2 + (choice.isGuarded ? 1 : 0)) * 4
            + (choice.isStrict ? 2 : 0) + (choice.isAlone ? 1 : 0)
    }

    private static func choice(at index: Int) -> Choice {
        Choice(
            ttls: index / 8 / drifts.count, drift: index / 8 % drifts.count, isGuarded: index / 4 % 2 == 1,
            isStrict: index / 2 % 2 == 1, isAlone: index % 2 == 1)
    }

    private static func entry(_ choice: Choice) -> Entry {
        var configuration = RedisLocks.Configuration()
        let row = ttls[choice.ttls]
        let nodes = choice.isAlone ? 1 : 3
        configuration.maximumTTL = .milliseconds(row[row.count - 1])
        configuration.ttl = configuration.maximumTTL
        configuration.driftFactor = drifts[choice.drift]
        configuration.restartGuard = choice.isGuarded ? .on : .unsafeOff
        configuration.maximumClockSkew = choice.isStrict ? .milliseconds(50) : .seconds(1)
        configuration.connectTimeout = .milliseconds(500)
        do {
            let terms = try row.map { try configuration.terms(names: [], ttl: .milliseconds($0), nodes: nodes) }
            return Entry(
                driftFactor: configuration.driftFactor, maximumTTL: row[row.count - 1] * 1_000_000,
                guardTime: configuration.guardTime(nodes: nodes).map { $0.milliseconds * 1_000_000 },
                maximumSkew: choice.isStrict ? 50_000_000 : 1_000_000_000,
                settings: EngineSettings(configuration), terms: terms)
        } catch {
            preconditionFailure("A lock of the simulation cannot be configured: \(error)")
        }
    }
}

extension SimulationCatalogue {
    /// The first name's place among ``names``, which are one letter each.
    static func index(of names: [LockName]) -> Int {
        guard let letter = names.first?.bytes.first else { return 0 }
        return min(max(0, Int(letter) - 97), Self.names.count - 1)
    }
}
