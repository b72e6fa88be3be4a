import Foundation
import HTTPTypes
import Hummingbird
import Reservations

/// What is on offer, and how much of it is left.
struct ItemRoutes {
    let shop: Shop

    func add(to router: Router<ShopContext>) {
        router.get("/v1/items") { _, context in try await list(context) }
        router.get("/v1/items/{id}") { request, context in try await item(request, context) }
        router.get("/v1/items/{id}/seats") { request, context in
            try await buckets(request, context, of: .seat, named: "seats")
        }
        router.get("/v1/items/{id}/nights") { request, context in try await nights(request, context) }
        router.get("/v1/items/{id}/events") { request, context in try await events(request, context) }
    }

    private func list(_ context: ShopContext) async throws -> Response {
        var items: [JSON] = []
        for item in shop.settings.catalogue.items {
            items.append(.members(try await shop.snapshot(of: item.id).members(in: context.language)))
        }
        return .json(.object([("items", .array(items)), ("serverTime", .time(Date()))]))
    }

    private func item(_ request: Request, _ context: ShopContext) async throws -> Response {
        let snapshot = try await shop.snapshot(of: try context.parameters.require("id"))
        return Self.tagged(snapshot, request, context) { snapshot.members(in: context.language) }
    }

    private func buckets(
        _ request: Request, _ context: ShopContext, of kind: Bucket.Kind, named name: String
    ) async throws -> Response {
        let snapshot = try await shop.snapshot(of: try context.parameters.require("id"))
        guard snapshot.item.kind == kind else { throw Problem(.noSuchResource) }
        return Self.tagged(snapshot, request, context) {
            snapshot.members(in: context.language) + [(name, ItemSnapshot.json(snapshot.states))]
        }
    }

    /// From and to are the first and the last night, as ISO dates; dates compare as text.
    private func nights(_ request: Request, _ context: ShopContext) async throws -> Response {
        let snapshot = try await shop.snapshot(of: try context.parameters.require("id"))
        guard snapshot.item.kind == .night else { throw Problem(.noSuchResource) }
        let from = request.uri.queryParameters["from"].map(String.init)
        let to = request.uri.queryParameters["to"].map(String.init)
        let states = snapshot.states.filter { state in
            (from.map { state.bucket.night >= $0 } ?? true) && (to.map { state.bucket.night <= $0 } ?? true)
        }
        return Self.tagged(snapshot, request, context) {
            snapshot.members(in: context.language) + [("nights", ItemSnapshot.json(states))]
        }
    }

    /// The version is the tag: whoever has it already is told so in a line.
    private static func tagged(
        _ snapshot: ItemSnapshot, _ request: Request, _ context: ShopContext, _ members: () -> [(String, JSON?)]
    ) -> Response {
        let tag = "\"\(snapshot.version)-\(context.language.rawValue)\""
        let headers: HTTPFields = [.eTag: tag, .cacheControl: "no-cache", .vary: "Accept-Language"]
        let known = request.headers[values: .ifNoneMatch].flatMap { field in
            field.split(separator: ",").map { $0.drop(while: \.isWhitespace) }
        }
        if known.contains(where: { $0 == tag || $0 == "W/\(tag)" || $0 == "*" }) {
            return Response(status: .notModified, headers: headers)
        }
        return .json(.members(members()), headers: headers)
    }

    private func events(_ request: Request, _ context: ShopContext) async throws -> Response {
        let id = try context.parameters.require("id")
        guard shop.settings.catalogue.item(id) != nil else { throw Problem(.noSuchResource) }
        let last = request.headers[.lastEventID].flatMap { Int64($0) }
        let stream = try await shop.hub.listen(to: id, after: last)
        return .events(stream)
    }
}
