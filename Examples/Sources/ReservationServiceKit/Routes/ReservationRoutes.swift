import HTTPTypes
import Hummingbird
import Reservations

/// What a buyer does. Somebody else's reservation is one that does not exist.
struct ReservationRoutes {
    let shop: Shop

    func add(to router: Router<ShopContext>) {
        router.post("/v1/sessions") { _, _ in session() }
        router.post("/v1/reservations") { request, context in try await create(request, context) }
        router.get("/v1/reservations/{id}") { request, context in
            try await one(request, context) { id, holder, _ in try await shop.service.status(id, for: holder) }
        }
        router.delete("/v1/reservations/{id}") { request, context in
            try await one(request, context) { id, holder, key in
                try await shop.service.cancel(id, for: holder, key: key)
            }
        }
        router.post("/v1/reservations/{id}/confirm") { request, context in
            try await one(request, context) { id, holder, key in
                try await shop.service.confirm(id, for: holder, key: key)
            }
        }
        router.post("/v1/reservations/{id}/return") { request, context in
            try await one(request, context) { id, holder, key in
                try await shop.service.giveBack(id, for: holder, key: key)
            }
        }
        router.post("/v1/reservations/{id}/extend") { request, context in
            let body = try await request.decoded(
                ExtensionRequest.self, upTo: shop.settings.limits.bodyBytes, orEmpty: true)
            let ttl = try Request.duration(body.ttl)
            return try await one(request, context) { id, holder, key in
                try await shop.service.extend(id, for: holder, ttl: ttl, key: key)
            }
        }
    }

    /// An identity for a program; a browser gets one with the page.
    private func session() -> Response {
        let secret = Caller.makeSecret()
        return .json(
            .object([("token", .string(secret)), ("tokenType", .string("Bearer"))]), status: .created,
            headers: [.setCookie: Caller.setCookie(secret, isBehindTLS: shop.settings.isBehindTLS)])
    }

    private func create(_ request: Request, _ context: ShopContext) async throws -> Response {
        let caller = try context.requireCaller()
        guard let key = request.headers[.idempotencyKey] else { throw Problem(.idempotencyKeyMissing) }
        let body = try await request.decoded(ReservationRequest.self, upTo: shop.settings.limits.bodyBytes)
        let lines = try body.cart()
        let ttl = try Request.duration(body.ttl)
        // A waiting line will answer here, too: 202 with the ticket's place under /v1/requests.
        let reservation = try await shop.service.reserve(lines, for: caller.holder, ttl: ttl, key: key)
        return .json(
            json(reservation), status: .created, headers: [.location: "/v1/reservations/\(reservation.id)"])
    }

    private func one(
        _ request: Request, _ context: ShopContext,
        _ act: (ReservationID, String, String?) async throws -> Reservation
    ) async throws -> Response {
        let caller = try context.requireCaller()
        guard let id = context.parameters.get("id").flatMap({ ReservationID($0) }) else {
            throw Problem(.noSuchResource)
        }
        return .json(json(try await act(id, caller.holder, request.headers[.idempotencyKey])))
    }

    private func json(_ reservation: Reservation) -> JSON {
        reservation.json(strategy: shop.strategyName(of: reservation.lines.first?.bucket.item ?? ""))
    }
}

/// Where requests that wait in line will be looked up and withdrawn. No strategy has a line yet, so there is none to find.
struct RequestRoutes {
    func add(to router: Router<ShopContext>) {
        router.get("/v1/requests/{key}") { _, context in try none(context) }
        router.delete("/v1/requests/{key}") { _, context in try none(context) }
    }

    private func none(_ context: ShopContext) throws -> Response {
        _ = try context.requireCaller()
        throw Problem(.noSuchResource)
    }
}
