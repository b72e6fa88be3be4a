import Foundation
import Reservations

/// Everything that an operator sees at one glance.
struct OperatorView {
    let shop: Shop

    func json(in language: ReservationError.Language) async throws -> JSON {
        var items: [JSON] = []
        var (held, retries) = (0, 0)
        for item in shop.settings.catalogue.items {
            let counts = shop.tally.counts(of: item.id)
            held += counts.held
            retries += counts.retries
            let snapshot = try await shop.snapshot(of: item.id)
            items.append(
                .members(
                    snapshot.members(in: language) + [
                        ("holds", .int(counts.held)), ("refused", .int(counts.refused)),
                        ("retries", .int(counts.retries)), ("staleFences", .int(counts.staleFences)),
                    ]))
        }
        let audit = await shop.auditor.recent()
        let lines = try await shop.lineWatch.lags().map { lag in
            JSON.object([
                ("line", .int(lag.line)), ("waiting", .int(lag.waiting)), ("oldestSeconds", .int(lag.oldestSeconds)),
            ])
        }
        return .members([
            ("serverTime", .time(Date())), ("startedAt", .time(shop.started)),
            ("store", .string(shop.settings.store.hasPrefix("sqlite:") ? "SQLite" : "PostgreSQL")),
            ("nodes", .int(shop.settings.nodes.urls.count)), ("listeners", .int(await shop.hub.count)),
            ("items", .array(items)), ("lines", .array(lines)), ("holds", .int(held)), ("retries", .int(retries)),
            ("staleFencesRefused", .int(shop.registry.total("reservations_stale_fences_total"))),
            ("invariants", audit.map { Self.json($0.report, at: $0.at) }), ("rush", await shop.rushDesk.json()),
        ])
    }

    static func json(_ report: AuditReport, at time: Date) -> JSON {
        .object([
            ("clean", .bool(report.isClean)), ("checkedAt", .time(time)), ("buckets", .int(report.buckets)),
            ("reservations", .int(report.reservations)),
            (
                "findings",
                .array(
                    report.findings.map {
                        .object([("rule", .string($0.rule.rawValue)), ("detail", .string($0.detail))])
                    })
            ),
        ])
    }
}
