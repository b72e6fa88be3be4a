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
        guard shop.line.isRunning || !shop.isQueued(lines) else {
            throw Problem(.lineClosed, retryAfter: .seconds(1))
        }
        switch try await shop.service.submit(lines, for: caller.holder, ttl: ttl, key: key) {
        case .queued(let ticket): return RequestRoutes(shop: shop).accepted(ticket)
        case .reserved(let reservation):
            // Nothing was claimed for it: it was decided in its line before.
            RequestNotes.current?.note { if $0.claims == 0 { $0.isReplayed = true } }
            return .json(
                shop.json(reservation), status: .created, headers: [.location: "/v1/reservations/\(reservation.id)"])
        }
    }

    private func one(
        _ request: Request, _ context: ShopContext,
        _ act: (ReservationID, String, String?) async throws -> Reservation
    ) async throws -> Response {
        let caller = try context.requireCaller()
        guard let id = context.parameters.get("id").flatMap({ ReservationID($0) }) else {
            throw Problem(.noSuchResource)
        }
        return .json(shop.json(try await act(id, caller.holder, request.headers[.idempotencyKey])))
    }
}
