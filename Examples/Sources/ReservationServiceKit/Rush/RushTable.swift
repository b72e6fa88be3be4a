/// The end of a rush, for people.
extension RushResult {
    package var table: String {
        var rows: [(String, String)] = [
            ("buyers", "\(offered), of whom \(droppedByGenerator) were dropped by the generator"),
            ("on sale", "\(available)"), ("confirmed", "\(confirmed)"),
        ]
        if cancelled + leftToExpire > 0 {
            rows.append(("cancelled", "\(cancelled)"))
            rows.append(("left to expire", "\(leftToExpire)"))
        }
        if stillHeld > 0 { rows.append(("still held", "\(stillHeld)")) }
        rows.append(("sold out for", "\(soldOut)"))
        let others = gaveUp.sorted { $0.key < $1.key }.map { "\($0.value) \($0.key)" }.joined(separator: ", ")
        rows.append(("gave up", others.isEmpty ? "0" : others))
        rows.append(("tried again", "\(retries) times; sent twice and answered as one: \(repeated)"))
        rows.append(("accepted", latency(accepted)))
        rows.append(("rejected", latency(rejected)))
        rows.append(("took", "\(duration.tenths) s"))
        rows.append(("oversell", "\(oversell)"))
        rows.append(("lost", "\(lost)"))
        rows.append(("duplicates", "\(duplicates)"))
        if let findings { rows.append(("invariants broken", "\(findings)")) }
        let width = rows.map(\.0.count).max() ?? 0
        return rows.map { name, value in
            "  " + name + String(repeating: " ", count: width - name.count + 2) + value
        }.joined(separator: "\n")
    }

    private func latency(_ latencies: Latencies) -> String {
        guard let median = latencies.percentile(50), let late = latencies.percentile(99) else { return "none" }
        return "p50 \(Int(median)) ms, p99 \(Int(late)) ms"
    }
}
