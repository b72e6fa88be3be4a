import RedisLocksTesting
import TestSupport

/// Does harm to nodes and clients, but never to more nodes at a time than its kind says.
struct Nemesis {
    private let kind: TorturePhase.Kind
    private let quorum: RedisTestQuorum
    private let workers: [SupervisedProcess]
    private var generator: SeededGenerator
    /// Until when wiped nodes abstain.
    private var abstaining: [Int: ContinuousClock.Instant] = [:]
    private(set) var counts: [String: Int] = [:]
    /// When a majority was down for certain, in nanoseconds of the history's clock.
    private(set) var outages: [ClosedRange<Int64>] = []

    init(kind: TorturePhase.Kind, quorum: RedisTestQuorum, workers: [SupervisedProcess], seed: UInt64) {
        self.kind = kind
        self.quorum = quorum
        self.workers = workers
        generator = SeededGenerator(seed: seed)
    }

    mutating func rage(until end: ContinuousClock.Instant) async throws {
        while ContinuousClock.now < end {
            if kind == .majority { try await outage(before: end) } else { try await harmMinority() }
            try await pause(.milliseconds(Int.random(in: 0...300, using: &generator)))
        }
    }

    private func pause(_ duration: Duration) async throws {
        try await Task.sleep(for: duration)  // sleep: how long a fault lasts
    }

    private mutating func count(_ fault: String, _ number: Int) { counts[fault, default: 0] += number }

    private mutating func harmMinority() async throws {
        abstaining = abstaining.filter { $0.value > .now }
        let free = 2 - abstaining.count
        let candidates = quorum.servers.indices.filter { abstaining[$0] == nil }.shuffled(using: &generator)
        let victims = Array(candidates.prefix(Int.random(in: 0...free, using: &generator)))
        switch Int.random(in: 0..<(kind == .fenced ? 5 : 3), using: &generator) {
        case 0:
            count("node kills", victims.count)
            try await quorum.kill(victims)
            try await pause(.milliseconds(Int.random(in: 0...1500, using: &generator)))
            try await quorum.restart(victims)
        case 1:
            count("node pauses", victims.count)
            try await quorum.pause(victims)
            try await pause(.milliseconds(Int.random(in: 100...3000, using: &generator)))
            try await quorum.resume(victims)
        case 2:
            let wiped = victims.prefix(1)
            count("node wipes", wiped.count)
            try await quorum.restartEmpty(wiped)
            // A bit more than what the clients ask for: 2 s x 1.01 + 2 s.
            for victim in wiped { abstaining[victim] = .now + .milliseconds(4200) }
        default:
            let victims = workers.shuffled(using: &generator).prefix(Int.random(in: 1...3, using: &generator))
            count("client pauses", victims.count)
            for victim in victims { try await victim.pause() }
            try await pause(.milliseconds(Int.random(in: 1000...3000, using: &generator)))
            for victim in victims { try victim.resume() }
        }
    }

    private mutating func outage(before end: ContinuousClock.Instant) async throws {
        // Long enough before the end that everybody is seen to recover.
        guard ContinuousClock.now + .seconds(8) < end || outages.isEmpty else { return }
        let victims = Array(quorum.servers.indices.shuffled(using: &generator).prefix(3))
        count("node kills", victims.count)
        try await quorum.kill(victims)
        let start = HistoryClock.system.now
        try await pause(.milliseconds(5500))
        outages.append(start...HistoryClock.system.now)
        try await quorum.restart(victims)
        try await pause(.milliseconds(1500))
    }
}
