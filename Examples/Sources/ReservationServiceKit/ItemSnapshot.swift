import Foundation
import Reservations

/// One item at one moment.
struct ItemSnapshot: Sendable {
    let item: Catalogue.Item
    let strategy: StrategyName
    let states: [BucketState]

    var capacity: Int { states.reduce(0) { $0 + $1.capacity } }
    var held: Int { states.reduce(0) { $0 + $1.held } }
    var sold: Int { states.reduce(0) { $0 + $1.sold } }
    /// Rises with every change, for the versions of its buckets do.
    var version: Int64 { states.reduce(0) { $0 + $1.version } }

    func members(in language: ReservationError.Language) -> [(String, JSON?)] {
        [
            ("id", .string(item.id)), ("kind", .string(item.kind.rawValue)),
            ("title", .string(item.title(in: language))),
            ("strategy", .string(strategy.rawValue)),
        ] + counts
    }

    var counts: [(String, JSON?)] {
        [
            ("capacity", .int(capacity)), ("held", .int(held)), ("sold", .int(sold)),
            ("available", .int(capacity - held - sold)), ("version", .int(version)),
        ]
    }

    static func json(_ states: some Sequence<BucketState>) -> JSON {
        .array(
            states.map { state in
                .members(
                    state.bucket.members.dropFirst() + [
                        ("capacity", .int(state.capacity)), ("held", .int(state.held)), ("sold", .int(state.sold)),
                    ])
            })
    }
}

extension Reservation {
    func json(strategy: StrategyName, now: Date = Date()) -> JSON {
        .members([
            ("id", .string("\(id)")), ("state", .string(state.rawValue)),
            (
                "lines",
                .array(lines.map { .members($0.bucket.members + [("quantity", .int($0.quantity))]) })
            ),
            ("strategy", .string(strategy.rawValue)), ("expiresAt", .time(expiresAt)),
            (
                "expiresInSeconds",
                state == .held ? .number((max(0, expiresAt.timeIntervalSince(now)) * 1000).rounded() / 1000) : nil
            ),
            ("hardDeadline", .time(hardDeadline)), ("createdAt", .time(createdAt)),
            ("resolvedAt", resolvedAt.map(JSON.time)), ("serverTime", .time(now)),
        ])
    }
}
