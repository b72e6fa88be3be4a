import Foundation
import HTTPTypes
import Hummingbird
import Reservations

/// A request that waits in a line: where it stands, what became of it, and how to leave. Somebody else's does not exist.
struct RequestRoutes {
    let shop: Shop

    func add(to router: Router<ShopContext>) {
        router.get("/v1/requests/{key}") { _, context in try await one(context) }
        router.get("/v1/requests/{key}/events") { _, context in try await events(context) }
        router.delete("/v1/requests/{key}") { _, context in try await withdraw(context) }
    }

    /// The answer to whoever has just lined up.
    func accepted(_ ticket: Ticket) -> Response {
        var response = waiting(ticket, status: .accepted)
        response.headers[.location] = Self.path(of: ticket.key)
        return response
    }

    private func one(_ context: ShopContext) async throws -> Response {
        let (key, holder) = try Self.name(context)
        switch try await shop.service.ticket(key, for: holder) {
        case .waiting(let ticket): return waiting(ticket, status: .ok)
        case .decided(.success(let reservation)): return Self.found(reservation)
        case .decided(.failure(let error)): return .json(refusal(error, in: context.language))
        }
    }

    private func withdraw(_ context: ShopContext) async throws -> Response {
        let (key, holder) = try Self.name(context)
        if let reservation = try await shop.service.withdraw(key, for: holder) { return Self.found(reservation) }
        return .json(.object([("state", .string("withdrawn"))]))
    }

    private func events(_ context: ShopContext) async throws -> Response {
        let (key, holder) = try Self.name(context)
        let language = context.language
        switch try await shop.service.ticket(key, for: holder) {
        case .waiting(let ticket):
            return .events(
                try await shop.lineHub.listen(to: ticket) { update in
                    switch update {
                    case .waiting(let standing): Self.event("standing", json(standing, of: ticket))
                    case .decided(let result): Self.event("decided", decision(result, in: language))
                    }
                })
        case .decided(let result):
            let (stream, continuation) = AsyncStream<ItemHub.Event>.makeStream()
            continuation.yield(.text(Self.event("decided", decision(result, in: language))))
            continuation.finish()
            return .events(stream)
        }
    }

    private static func name(_ context: ShopContext) throws -> (key: String, holder: String) {
        let caller = try context.requireCaller()
        guard let key = try context.parameters.require("key").removingPercentEncoding else {
            throw Problem(.noSuchResource)
        }
        return (key, caller.holder)
    }

    // MARK: As JSON

    private func waiting(_ ticket: Ticket, status: HTTPResponse.Status) -> Response {
        .json(
            json(ticket.standing, of: ticket), status: status,
            headers: [.retryAfter: String(Self.askAgain(ticket.standing))])
    }

    private func json(_ standing: QueueStanding, of ticket: Ticket) -> JSON {
        let estimate = standing.estimate.map { estimate in
            JSON.object([
                ("likely", .int(estimate.lowerBound.wholeSecondsUp)),
                ("late", .int(estimate.upperBound.wholeSecondsUp)),
            ])
        }
        let now = Date()
        // Presence is told to the line four times within the silence that it allows: less than a quarter of it has passed.
        let silence = shop.settings.limits.lineSilence / .seconds(1) * 0.75
        return .object([
            ("state", .string("waiting")), ("position", .int(standing.position)),
            ("estimateSeconds", estimate ?? .null), ("events", .string("\(Self.path(of: ticket.key))/events")),
            ("keptUntil", .time(now.addingTimeInterval(silence))), ("serverTime", .time(now)),
        ])
    }

    private func decision(
        _ result: Result<Reservation, ReservationError>, in language: ReservationError.Language
    ) -> JSON {
        switch result {
        case .success(let reservation):
            .object([
                ("state", .string("held")), ("location", .string("/v1/reservations/\(reservation.id)")),
                ("reservation", shop.json(reservation)),
            ])
        case .failure(let error): refusal(error, in: language)
        }
    }

    private func refusal(_ error: ReservationError, in language: ReservationError.Language) -> JSON {
        .object([
            ("state", .string("refused")), ("problem", Problem(error, shop.settings.catalogue).json(in: language)),
        ])
    }

    private static func found(_ reservation: Reservation) -> Response {
        Response(
            status: .seeOther,
            headers: [.location: "/v1/reservations/\(reservation.id)", .cacheControl: "no-store"])
    }

    private static func event(_ name: String, _ data: JSON) -> String {
        "event: \(name)\ndata: \(data.text)\n\n"
    }

    /// A key may have any characters; an address may not.
    static func path(of key: String) -> String {
        "/v1/requests/" + (key.addingPercentEncoding(withAllowedCharacters: unreserved) ?? key)
    }

    private static let unreserved = CharacterSet(
        charactersIn: "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-._~")

    /// Seconds: soon for those who are near, and never so late that somebody counts as gone.
    private static func askAgain(_ standing: QueueStanding) -> Int {
        min(15, max(1, (standing.estimate?.lowerBound.wholeSecondsUp ?? 1) / 2))
    }
}
