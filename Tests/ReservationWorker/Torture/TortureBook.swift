import Reservations
import Synchronization
import TestSupport

/// What buyers have said: what was acknowledged must be there in the end.
final class TortureBook: Sendable {
    struct Contents {
        var held: [(holder: String, id: ReservationID)] = []
        var ended: [(id: ReservationID, state: Reservation.State)] = []
        var asked: Set<String> = []
        var refused: [String: Int] = [:]
        var retries: [String: Int] = [:]
        var stale = 0
        var broken: [String] = []
        var deeds: [String: Int] = [:]
        var deadlocks = 0
        /// By a line and where a batch of it was read from: under which tokens it was decided.
        var batches: [String: Set<Int64>] = [:]
        /// By a line: under which tokens it was set back.
        var rewinds: [String: Set<Int64>] = [:]

        /// A line goes on where it stands, and who comes too late is refused: two go on from one place only when the line was
        /// set back between them. Known when everybody was heard to the end.
        var linesBroken: [String] {
            batches.flatMap { place, tokens -> [String] in
                let words = place.split(separator: " ").map(String.init)
                // Where each line begins, and begins again.
                guard tokens.count > 1, words.count == 2, words[1] != "0-0" else { return [] }
                let sorted = tokens.sorted()
                return zip(sorted, sorted.dropFirst()).compactMap { first, second in
                    if rewinds[words[0], default: []].contains(where: { (first...second).contains($0) }) { return nil }
                    return "line \(words[0]) was decided from \(words[1]) by token \(first) and by token \(second)"
                }
            }
        }
    }

    private let contents = Mutex(Contents())

    var all: Contents { contents.withLock { $0 } }

    func note(deed: String) {
        contents.withLock { $0.deeds[deed, default: 0] += 1 }
    }

    func note(deadlocks: Int) {
        contents.withLock { $0.deadlocks += deadlocks }
    }

    func hear(_ line: String) {
        let words = line.split(separator: " ", maxSplits: 2).map(String.init)
        contents.withLock { contents in
            switch (words.first, words.count) {
            case ("asking", 2): contents.asked.insert(words[1])
            case ("held", 3): if let id = ReservationID(words[2]) { contents.held.append((words[1], id)) }
            case ("confirmed", 3): if let id = ReservationID(words[2]) { contents.ended.append((id, .confirmed)) }
            case ("cancelled", 3): if let id = ReservationID(words[2]) { contents.ended.append((id, .cancelled)) }
            case ("refused", 3):
                let code = String(words[2].prefix { $0 != " " })
                contents.refused[code, default: 0] += 1
                // Nobody wants too many, comes too late or ends what is not his: whatever else is refused is a bug.
                if code != "out-of-stock" { contents.broken.append(line) }
            case ("retry", 2): contents.retries[words[1], default: 0] += 1
            case ("stale", 1): contents.stale += 1
            case ("inside", 1): break
            case ("rewinding", 3):
                if let token = Int64(words[2]) { contents.rewinds[words[1], default: []].insert(token) }
            case ("decided", 3):
                let rest = words[2].split(separator: " ").map(String.init)
                if rest.count == 2, let token = Int64(rest[0]) {
                    contents.batches["\(words[1]) \(rest[1])", default: []].insert(token)
                }
            default: contents.broken.append(line)
            }
        }
    }
}

/// What the store says in the end, against what was said before.
struct TortureVerdict {
    var lost: [String] = []
    var duplicates: [String] = []
    var oversold: [String] = []
    var findings: [String] = []
    /// Writes under a token that came after one with a greater token.
    var fencesBroken: [String] = []
    var sold = 0
    var entries = 0

    var isClean: Bool { [lost, duplicates, oversold, findings, fencesBroken].allSatisfy(\.isEmpty) }

    static func of(_ store: any ReservationStore, _ book: TortureBook.Contents, items: Int) async throws
        -> TortureVerdict
    {
        var verdict = TortureVerdict()
        for (holder, id) in book.held where try await store.reservation(id, holder: holder) == nil {
            verdict.lost.append("\(id) of \(holder), acknowledged as held")
        }
        for (id, state) in book.ended {
            let found = try await store.reservation(id, holder: nil)?.state
            if found != state {
                verdict.lost.append("\(id), acknowledged as \(state), is \(found.map { "\($0)" } ?? "gone")")
            }
        }
        for state in try await store.states(of: (0..<items).map { .counted("item \($0)") }) {
            verdict.sold += state.sold
            if state.held + state.sold > state.capacity || state.held < 0 || state.sold < 0 {
                verdict.oversold.append("\(state)")
            }
        }
        try await verdict.read(ledgerOf: store)
        let report = try await store.audit(grace: .seconds(3_600))
        verdict.findings = report.findings.map(\.detail)
        return verdict
    }

    private mutating func read(ledgerOf store: any ReservationStore) async throws {
        var reservations: [String: Set<ReservationID>] = [:]
        var fences: [Bucket: Int64] = [:]
        var taken: [Bucket: Int] = [:]
        var capacities: [Bucket: Int] = [:]
        var last: Int64 = 0
        while true {
            let page = try await store.ledger(ofItem: nil, after: last, limit: 1_000)
            guard let end = page.last else { break }
            last = end.sequence
            entries += page.count
            for entry in page {
                // Not a running sum of all kinds: those of different transactions may be numbered before they commit.
                taken[entry.bucket, default: 0] += entry.heldDelta + entry.soldDelta
                capacities[entry.bucket, default: 0] += entry.capacityDelta
                guard entry.kind == .hold, let id = entry.reservation else { continue }
                reservations[entry.actor, default: []].insert(id)
                guard entry.fence > 0 else { continue }
                if entry.fence < fences[entry.bucket, default: 0] {
                    fencesBroken.append("\(entry.bucket): \(entry.fence) after \(fences[entry.bucket, default: 0])")
                }
                fences[entry.bucket] = max(entry.fence, fences[entry.bucket, default: 0])
            }
        }
        for (holder, ids) in reservations where ids.count > 1 { duplicates.append("\(holder) has \(ids.count)") }
        for (bucket, sum) in taken where sum > capacities[bucket, default: 0] { oversold.append("\(bucket): \(sum)") }
    }
}
