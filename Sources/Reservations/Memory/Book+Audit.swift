#if canImport(FoundationEssentials)
    import FoundationEssentials
#else
    import Foundation
#endif

extension Book {
    package func audit(grace: Duration, now: Date) -> AuditReport {
        var findings = overdue(before: now.addingTimeInterval(-(grace / .seconds(1)))) + strayRequests()
        let held = sums { $0.state == .held }
        let sold = sums { $0.state == .confirmed }
        var entries: [Bucket: Row] = [:]
        for entry in ledger {
            var row = entries[entry.bucket] ?? Row()
            row.capacity = row.capacity.addingClamped(entry.capacityDelta)
            row.held = row.held.addingClamped(entry.heldDelta)
            row.sold = row.sold.addingClamped(entry.soldDelta)
            entries[entry.bucket] = row
        }
        for bucket in rows.keys.sorted() {
            guard let row = rows[bucket] else { continue }
            let entered = entries[bucket] ?? Row()
            if row.held != held[bucket, default: 0] {
                findings.append(
                    .init(.heldByLines, "\(bucket): held \(row.held), lines say \(held[bucket, default: 0])."))
            }
            if row.sold != sold[bucket, default: 0] {
                findings.append(
                    .init(.soldByLines, "\(bucket): sold \(row.sold), lines say \(sold[bucket, default: 0])."))
            }
            if (row.capacity, row.held, row.sold) != (entered.capacity, entered.held, entered.sold) {
                findings.append(
                    .init(
                        .ledger,
                        "\(bucket): capacity \(row.capacity), held \(row.held), sold \(row.sold); the ledger says "
                            + "\(entered.capacity), \(entered.held), \(entered.sold)."))
            }
            if row.held < 0 || row.sold < 0 || row.held.addingClamped(row.sold) > row.capacity {
                findings.append(
                    .init(.oversell, "\(bucket): held \(row.held) and sold \(row.sold) of \(row.capacity)."))
            }
        }
        return AuditReport(findings: findings, buckets: rows.count, reservations: reservations.count)
    }

    private func sums(where counts: (Reservation) -> Bool) -> [Bucket: Int] {
        var sums: [Bucket: Int] = [:]
        for line in reservations.values.filter(counts).flatMap(\.lines) {
            sums[line.bucket] = (sums[line.bucket] ?? 0).addingClamped(line.quantity)
        }
        return sums
    }

    private func overdue(before limit: Date) -> [AuditReport.Finding] {
        reservations.values.filter { $0.state == .held && $0.expiresAt < limit }
            .map { .init(.overdue, "Reservation \($0.id) should have expired at \($0.expiresAt.ISO8601Format()).") }
    }

    private func strayRequests() -> [AuditReport.Finding] {
        requests.values.compactMap { request in
            let isThere =
                switch request.answer {
                case .reservation(let id): reservations[id] != nil
                case .bucket(let bucket): rows[bucket] != nil
                }
            return isThere ? nil : .init(.request, "A request is done and what it answers is not there.")
        }
    }
}
