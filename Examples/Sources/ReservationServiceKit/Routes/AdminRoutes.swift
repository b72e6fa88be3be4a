import Foundation
import HTTPTypes
import Hummingbird
import Reservations

/// What an operator does, with the token. Without one in the settings there is nothing at these addresses.
struct AdminRoutes {
    let shop: Shop

    func add(to router: Router<ShopContext>) {
        router.get("/v1/admin/overview") { request, context in
            try admit(request)
            return Response.json(try await OperatorView(shop: shop).json(in: context.language))
        }
        router.post("/v1/admin/items/{id}/stock") { request, context in
            try admit(request)
            return try await stock(request, context)
        }
        router.get("/v1/admin/items/{id}/ledger") { request, context in
            try admit(request)
            return try await ledger(request, context)
        }
        router.get("/v1/admin/invariants") { request, _ in
            try admit(request)
            let (report, time) = try await shop.auditor.audit()
            return Response.json(OperatorView.json(report, at: time))
        }
        router.post("/v1/admin/rush") { request, context in
            try admit(request)
            return try await startRush(request, context)
        }
        router.get("/v1/admin/rush") { request, _ in
            try admit(request)
            return Response.json(await shop.rushDesk.json())
        }
    }

    private func admit(_ request: Request) throws {
        guard let expected = shop.settings.adminToken else { throw Problem(.noSuchResource) }
        guard let token = Bearer.token(of: request.headers) else { throw Problem(.unauthenticated) }
        guard Bearer.matches(token, expected) else { throw Problem(.forbidden) }
    }

    private func stock(_ request: Request, _ context: ShopContext) async throws -> Response {
        guard let item = shop.settings.catalogue.item(try context.parameters.require("id")) else {
            throw Problem(.noSuchResource)
        }
        let body = try await request.decoded(StockRequest.self, upTo: shop.settings.limits.bodyBytes)
        let reason = body.reason
        guard !reason.isEmpty, reason.utf8.count <= 64 else {
            throw Problem.invalid("/reason", "The reason has from 1 to 64 bytes.")
        }
        let bucket: Bucket =
            switch (body.seat, body.night) {
            case (let seat?, nil): .seat(item.id, seat)
            case (nil, let night?): .night(item.id, night)
            case (nil, nil): .counted(item.id)
            default: throw Problem.invalid("/seat", "A change is for a seat or a night, not both.")
            }
        guard bucket.kind == item.kind else {
            throw Problem.invalid("/seat", "\(item.id) is of the kind \(item.kind.rawValue).")
        }
        let state = try await shop.service.restock(
            bucket, by: body.delta, actor: "operator: \(reason)", key: request.headers[.idempotencyKey])
        return .json(
            .members(
                bucket.members + [
                    ("capacity", .int(state.capacity)), ("held", .int(state.held)), ("sold", .int(state.sold)),
                    ("available", .int(state.available)), ("version", .int(state.version)),
                ]))
    }

    private func ledger(_ request: Request, _ context: ShopContext) async throws -> Response {
        let id = try context.parameters.require("id")
        guard shop.settings.catalogue.item(id) != nil else { throw Problem(.noSuchResource) }
        let after = try number("after", of: request) ?? 0
        let limit = try number("limit", of: request) ?? 100
        let entries = try await shop.service.ledger(ofItem: id, after: after, limit: Int(clamping: limit))
        let rows = entries.map { entry in
            JSON.members(
                [("sequence", .int(entry.sequence)), ("kind", .string(entry.kind.rawValue))] + entry.bucket.members + [
                    ("reservation", entry.reservation.map { .string("\($0)") }),
                    ("capacityDelta", .int(entry.capacityDelta)), ("heldDelta", .int(entry.heldDelta)),
                    ("soldDelta", .int(entry.soldDelta)), ("fence", .int(entry.fence)),
                    ("actor", .string(entry.actor)), ("at", .time(entry.at)),
                ])
        }
        return .json(.members([("entries", .array(rows)), ("next", entries.last.map { .int($0.sequence) })]))
    }

    private func number(_ name: String, of request: Request) throws -> Int64? {
        guard let text = request.uri.queryParameters[Substring(name)] else { return nil }
        guard let number = Int64(text), number >= 0 else {
            throw Problem.invalid("?\(name)", "\(name) is a whole number that is not negative.")
        }
        return number
    }

    private func startRush(_ request: Request, _ context: ShopContext) async throws -> Response {
        let body = try await request.decoded(RushRequest.self, upTo: shop.settings.limits.bodyBytes)
        guard let item = shop.settings.catalogue.item(body.item), item.kind == .counted else {
            throw Problem.invalid("/item", "A rush is on a counted item of the catalogue.")
        }
        for (name, value, range) in [
            ("units", body.units, 1...100_000), ("buyers", body.buyers, 1...50_000), ("seconds", body.seconds, 1...120),
        ] where !range.contains(value) {
            throw Problem.invalid("/\(name)", "\(name) is from \(range.lowerBound) to \(range.upperBound).")
        }
        var plan = RushPlan(url: await shop.rushDesk.ownURL, item: item.id)
        (plan.units, plan.buyers, plan.seconds) = (body.units, body.buyers, Double(body.seconds))
        plan.adminToken = shop.settings.adminToken
        guard await shop.rushDesk.start(plan) else { throw Problem(.rushRunning, retryAfter: .seconds(5)) }
        return .json(await shop.rushDesk.json(), status: .accepted, headers: [.location: "/v1/admin/rush"])
    }
}
