import RedisLocksTesting
import TestSupport

/// What came of a phase, from the files that the workers have written.
struct TortureReport {
    private struct Attempt {
        let began: Int64
        let ended: Int64
        /// `nil` for a grant.
        let failure: String?
    }

    let phase: TorturePhase
    let faults: [String: Int]
    let outages: [ClosedRange<Int64>]
    var counter = 0
    var remainingLocks: [String] = []
    private var tally = Tally()
    private var attempts: [[Attempt]] = []
    private var problems: [String] = []

    init(phase: TorturePhase, faults: [String: Int], outages: [ClosedRange<Int64>]) {
        self.phase = phase
        self.faults = faults
        self.outages = outages
    }

    var isClean: Bool { problems.isEmpty }

    mutating func read(_ files: [(history: String, stats: String)]) throws {
        var lines: [Substring] = []
        for (history, stats) in files {
            lines += try readText(history).split(separator: "\n")
            try readStats(stats)
        }
        let history = try LockHistory(lines: lines)
        problems += history.check(inside: true).map { "\($0)" }
        problems += LeakChecker(remainingLockKeys: remainingLocks).check().map { "\($0)" }
        let written = history.storeEvents.compactMap { event -> Int? in
            if event.accepted, case .write(let value) = event.kind { Int(value) } else { nil }
        }
        let present = counter > 0 ? Array(1...counter) : []
        problems += ProtectedSetChecker(acknowledged: written, present: present).check().map { "\($0)" }
        if let longest = longestRefusal, longest > mostThatARefusalMayTake {
            problems.append("An outage was told after \(longest) ms, later than \(mostThatARefusalMayTake).")
        }
        if counter != tally.written { problems.append("The counter is \(counter) after \(tally.written) increments.") }
        if tally.grants == 0 { problems.append("Nobody was ever granted the lock.") }
        if phase.kind != .fenced && tally.refused > 0 {
            problems.append("The store refused although it does not check.")
        }
        for (worker, attempts) in attempts.enumerated() { checkOutages(attempts, of: worker) }
    }

    private mutating func readStats(_ path: String) throws {
        var own: [Attempt] = []
        for line in try readText(path).split(separator: "\n") {
            if let tally = Tally(line: line) {
                self.tally += tally
                continue
            }
            let words = line.split(separator: " ")
            guard words.count >= 3, let began = Int64(words[1]), let ended = Int64(words[2]) else {
                throw TestSupportError("That is no line of statistics: \(line)")
            }
            own.append(Attempt(began: began, ended: ended, failure: words.count > 3 ? String(words[3]) : nil))
        }
        attempts.append(own)
    }

    /// Whoever asks while a majority is down is told so, and is granted the lock again afterwards.
    private mutating func checkOutages(_ attempts: [Attempt], of worker: Int) {
        for outage in outages {
            let inside = attempts.filter { outage.contains($0.began) && outage.contains($0.ended) }
            if !inside.contains(where: { $0.failure == "quorumUnreachable" }) {
                problems.append("Worker \(worker) was not told of an outage.")
            }
            for attempt in inside where attempt.failure != "quorumUnreachable" {
                problems.append("Worker \(worker) was \(attempt.failure ?? "granted") while a majority was down.")
            }
            if !attempts.contains(where: { $0.failure == nil && $0.began > outage.upperBound }) {
                problems.append("Worker \(worker) never recovered.")
            }
        }
    }

    var text: String {
        var parts = ["\(tally.operations) operations", "\(tally.grants) grants", "counter \(counter)"]
        parts += faults.sorted { $0.key < $1.key }.map { "\($0.value) \($0.key)" }
        parts += ["\(tally.confirmRounds) second rounds", "\(tally.refused) refused stale writes"]
        let failures = attempts.joined().compactMap(\.failure)
        for code in Set(failures).sorted() { parts.append("\(failures.count { $0 == code }) \(code)") }
        if let longest = longestRefusal { parts.append("an outage was told within \(longest) ms") }
        parts.append("\(problems.count) violations")
        let head = "\(phase.kind.rawValue), \(phase.seconds) s: " + parts.joined(separator: ", ")
        return ([head] + problems.prefix(20).map { "  \($0)" }).joined(separator: "\n")
    }

    /// The wait, one request and three confirmations, and a machine that stands still for a moment. In ms.
    private var mostThatARefusalMayTake: Int64 {
        Int64((phase.budget + TorturePhase.nodeTimeout * 4) / .milliseconds(1)) + 2_000
    }

    /// How long the slowest took to hear of an outage that went on all the while.
    private var longestRefusal: Int64? {
        attempts.joined().filter { attempt in
            attempt.failure == "quorumUnreachable"
                && outages.contains { $0.contains(attempt.began) && $0.contains(attempt.ended) }
        }.map { ($0.ended - $0.began) / 1_000_000 }.max()
    }
}
