/// The end of a rush, for people.
extension RushResult {
    package var table: String {
        let width = rows.map(\.0.count).max() ?? 0
        return rows.map { name, value in
            "  " + name + String(repeating: " ", count: width - name.count + 2) + value
        }.joined(separator: "\n")
    }

    private var rows: [(String, String)] {
        var rows: [(String, String)] = [
            ("strategy", strategy),
            ("buyers", "\(offered), of whom \(droppedByGenerator) were dropped by the generator"),
            ("on sale", "\(available)"), ("confirmed", "\(confirmed)"),
        ]
        if cancelled + leftToExpire + overtaken > 0 {
            rows.append(("cancelled", "\(cancelled)"))
            rows.append(("left to expire", "\(leftToExpire)"))
            rows.append(("expired before that", "\(overtaken)"))
        }
        if stillHeld > 0 { rows.append(("still held", "\(stillHeld)")) }
        rows.append(("sold out for", "\(soldOut)"))
        let others = gaveUp.sorted { $0.key < $1.key }.map { "\($0.value) \($0.key)" }.joined(separator: ", ")
        rows.append(("gave up", others.isEmpty ? "0" : others))
        rows.append(("tried again", "\(retries) times; \(answeredLate) got their answer only when all was over"))
        rows.append(
            (
                "sent twice",
                "\(sentTwice), \(repeated) of them had the same reservation both times; in the end: \(confirmedByRepetition)"
            ))
        rows.append(("accepted", latency(accepted)))
        rows.append(("rejected", latency(rejected)))
        rows.append(("took", "\(duration.tenths) s, \(rate) answers per second"))
        if let book {
            rows.append(
                (
                    "the book",
                    "\(book.held) held = \(book.confirmed) sold + \(book.cancelled) released + \(book.expired) expired"
                        + (stillHeld > 0 ? " + \(stillHeld) still held" : "")
                ))
        }
        return rows + verdicts
    }

    private var verdicts: [(String, String)] {
        var rows = [
            ("oversell", "\(oversell)"), ("lost", "\(lost)"), ("duplicates", "\(duplicates)"), ("stuck", "\(stuck)"),
            ("unanswered", "\(unanswered)"),
        ]
        if book != nil { rows.append(("unaccounted", "\(unaccounted)")) }
        if let findings { rows.append(("invariants broken", "\(findings)")) }
        return rows
    }

    private var rate: Int {
        Int(Double(accepted.count + rejected.count) / max(0.001, duration / .seconds(1)))
    }

    private func latency(_ latencies: Latencies) -> String {
        guard let median = latencies.percentile(50), let late = latencies.percentile(99) else { return "none" }
        return "p50 \(Int(median)) ms, p99 \(Int(late)) ms"
    }
}
