import Foundation
import Hummingbird
import NIOHTTP1
import ReservationPage
import ReservationServiceKit
import TestSupport
import Testing

@Suite("The OpenAPI document")
struct OpenAPITests {
    private static func document() throws -> [String: Any] {
        try #require(
            try JSONSerialization.jsonObject(with: Data(PageFile.openAPI.bytes)) as? [String: Any])
    }

    @Test("It has every route of the service, and no other")
    func routes() async throws {
        try await TestService.with { service in
            let assets = Set(PageFile.assets.map { "/\($0.name)" }).union(["/favicon.ico"])
            let routes = ShopRouter.make(service.shop).routes.map { ("\($0.path)", $0.method.rawValue.lowercased()) }
            let served = Set(routes.filter { !assets.contains($0.0) }.map { "\($0.1) \($0.0)" })
            let paths = try #require(try Self.document()["paths"] as? [String: [String: Any]])
            let described = Set(paths.flatMap { path, operations in operations.keys.map { "\($0) \(path)" } })
            #expect(served.subtracting(described) == [])
            #expect(described.subtracting(served) == [])
        }
    }

    @Test("Every code of a problem has a page, and every reference leads somewhere")
    func references() async throws {
        let document = try Self.document()
        let text = String(decoding: PageFile.openAPI.bytes, as: UTF8.self)
        let schema = Schema(document: document)
        let references = Set(text.matches(of: /"\$ref": "([^"]+)"/).map { String($0.output.1) })
        #expect(references.count > 20)
        for reference in references { #expect(schema.resolve(reference) != nil, "\(reference)") }
        for code in ProblemCodes.all { #expect(text.contains("`\(code)`") == true, "\(code)") }
    }

    @Test("What the service answers is what it says", arguments: StoreKind.allCases)
    func answers(kind: StoreKind) async throws {
        try await TestService.with(kind) { settings in
            settings.limits.shortestHold = .seconds(1)
        } _: { service in
            let walk = Walk(service: service, document: try Self.document())
            try await walk.buy()
            try await walk.look()
            try await walk.operate()
            // A walk that leaves something out proves less than it seems to.
            let left = walk.unseen.filter { !$0.hasSuffix("/events") }
            #expect(left == [])
        }
    }
}

/// Asks for everything that there is, and compares each answer with what the document promises.
private final class Walk {
    let service: TestService
    private let schema: Schema
    private let paths: [String: [String: Any]]
    private var seen: Set<String> = []

    init(service: TestService, document: [String: Any]) {
        self.service = service
        schema = Schema(document: document)
        paths = document["paths"] as? [String: [String: Any]] ?? [:]
    }

    /// Operations that no answer has come from.
    var unseen: [String] {
        paths.flatMap { path, operations in operations.keys.map { "\($0) \(path)" } }.filter { !seen.contains($0) }
            .sorted()
    }

    @discardableResult
    private func ask(
        _ method: HTTPMethod, _ pattern: String, _ values: [String: String] = [:], query: String = "",
        as buyer: Buyer? = nil, token: String? = nil, key: String? = nil, body: String? = nil,
        headers: [(String, String)] = [], expect status: Int
    ) async throws -> TestService.Answer {
        let path = values.reduce(pattern) { $0.replacingOccurrences(of: "{\($1.key)}", with: $1.value) }
        let answer = try await service.send(
            method, path + query, as: buyer, token: token, key: key, body: body, headers: headers)
        let name = "\(method.rawValue.lowercased()) \(pattern)"
        seen.insert(name)
        #expect(answer.status == status, "\(name): \(answer.text)")
        let operation = paths[pattern]?[method.rawValue.lowercased()] as? [String: Any]
        var response = (operation?["responses"] as? [String: Any])?[String(answer.status)] as? [String: Any]
        if let reference = response?["$ref"] as? String { response = schema.resolve(reference) }
        guard let response else {
            Issue.record("\(name) answers \(answer.status), which is not described: \(answer.text)")
            return answer
        }
        check(answer, by: response, name)
        return answer
    }

    private func check(_ answer: TestService.Answer, by response: [String: Any], _ name: String) {
        guard let content = response["content"] as? [String: [String: Any]] else {
            #expect(answer.bytes.isEmpty, "\(name)")
            return
        }
        let type = String((answer.header("Content-Type") ?? "").prefix { $0 != ";" })
        guard let described = content[type]?["schema"] as? [String: Any] else {
            Issue.record("\(name) answers \(type), which is not described")
            return
        }
        guard type.hasSuffix("json") else { return }
        #expect(schema.flaws(of: answer.json, by: described) == [], "\(name): \(answer.text)")
    }

    func buy() async throws {
        let buyer = Buyer()
        let reservation = "/v1/reservations/{id}"
        try await ask(.POST, "/v1/sessions", expect: 201)
        let seat = "{\"lines\":[{\"item\":\"concert\",\"seat\":\"A1\"},{\"item\":\"poster\",\"quantity\":2}]}"
        let held = try await ask(.POST, "/v1/reservations", as: buyer, key: "1", body: seat, expect: 201)
        let id = ["id": try #require(held.id)]
        try await ask(.POST, "/v1/reservations", as: buyer, key: "1", body: seat, expect: 201)
        try await ask(.POST, "/v1/reservations", as: buyer, body: seat, expect: 400)
        try await ask(.POST, "/v1/reservations", key: "2", body: seat, expect: 401)
        try await ask(
            .POST, "/v1/reservations", as: buyer, key: "2", body: seat, headers: [("Origin", "http://x")], expect: 403)
        try await ask(
            .POST, "/v1/reservations", as: buyer, key: "2", body: "{\"lines\":[{\"item\":\"x\"}]}", expect: 404)
        let only = "{\"lines\":[{\"item\":\"concert\",\"seat\":\"A1\"}]}"
        try await ask(.POST, "/v1/reservations", as: Buyer(), key: "2", body: only, expect: 409)
        let many = "{\"lines\":[{\"item\":\"poster\",\"quantity\":23}]}"
        try await ask(.POST, "/v1/reservations", as: Buyer(), key: "2", body: many, expect: 409)
        try await ask(.POST, "/v1/reservations", as: buyer, key: "1", body: only, expect: 422)
        try await ask(.GET, reservation, id, as: buyer, expect: 200)
        try await ask(.GET, reservation, id, as: Buyer(), expect: 404)
        try await ask(.POST, reservation + "/return", id, as: buyer, expect: 409)
        try await ask(.POST, reservation + "/extend", id, as: buyer, expect: 200)
        try await ask(.POST, reservation + "/confirm", id, as: buyer, expect: 200)
        try await ask(.POST, reservation + "/extend", id, as: buyer, body: "{\"ttl\":60}", expect: 409)
        try await ask(.DELETE, reservation, id, as: buyer, expect: 409)
        try await ask(.POST, reservation + "/return", id, as: buyer, expect: 200)
        try await ask(.POST, reservation + "/return", id, as: buyer, expect: 200)
        let night = "{\"lines\":[{\"item\":\"harbour-room\",\"night\":\"2027-05-01\"}],\"ttl\":1}"
        let short = try await ask(.POST, "/v1/reservations", as: buyer, key: "3", body: night, expect: 201)
        let shortID = ["id": try #require(short.id)]
        try await waitUntil("the hold is over") {
            try await service.send(.GET, "/v1/reservations/\(shortID["id"] ?? "")", as: buyer).state == "expired"
        }
        try await ask(.POST, reservation + "/confirm", shortID, as: buyer, expect: 410)
        try await ask(.GET, reservation, shortID, as: buyer, expect: 200)
        try await ask(.GET, "/v1/requests/{key}", ["key": "1"], as: buyer, expect: 404)
        try await ask(.GET, "/v1/requests/{key}/events", ["key": "1"], as: buyer, expect: 404)
        try await ask(.DELETE, "/v1/requests/{key}", ["key": "1"], as: buyer, expect: 404)
        try await lineUp()
    }

    private func lineUp() async throws {
        let buyer = Buyer()
        let request = "/v1/requests/{key}"
        let name = ["key": "in-line"]
        let none = "{\"lines\":[{\"item\":\"drop-queued\"}]}"
        let drop = ["id": "drop-queued"]
        try await ask(.POST, "/v1/reservations", as: buyer, key: "in-line", body: none, expect: 202)
        try await waitUntil("it was refused") {
            try await service.send(.GET, "/v1/requests/in-line", as: buyer).state == "refused"
        }
        try await ask(.GET, request, name, as: buyer, expect: 200)
        try await ask(.GET, request + "/events", name, as: buyer, expect: 200)
        try await ask(.DELETE, request, name, as: buyer, expect: 409)
        try await ask(
            .POST, "/v1/admin/items/{id}/stock", drop, token: TestService.adminToken,
            body: "{\"delta\":1,\"reason\":\"more\"}", expect: 200)
        try await ask(.POST, "/v1/reservations", as: buyer, key: "held", body: none, expect: 202)
        try await waitUntil("it was decided") {
            try await service.send(.GET, "/v1/requests/held", as: buyer).status == 303
        }
        try await ask(.GET, request, ["key": "held"], as: buyer, expect: 303)
        try await ask(.DELETE, request, ["key": "held"], as: buyer, expect: 303)
        try await ask(.POST, "/v1/reservations", as: buyer, key: "held", body: none, expect: 201)
    }

    func look() async throws {
        try await ask(.GET, "/", expect: 200)
        try await ask(.GET, "/operator", expect: 200)
        try await ask(.GET, "/v1/items", expect: 200)
        for (item, more) in [("concert", "/seats"), ("harbour-room", "/nights")] {
            let answer = try await ask(.GET, "/v1/items/{id}", ["id": item], expect: 200)
            let tag = [("If-None-Match", answer.header("ETag") ?? "")]
            try await ask(.GET, "/v1/items/{id}", ["id": item], headers: tag, expect: 304)
            try await ask(.GET, "/v1/items/{id}" + more, ["id": item], expect: 200)
            try await ask(.GET, "/v1/items/{id}" + more, ["id": "poster"], expect: 404)
        }
        for path in ["/healthz", "/readyz", "/metrics", "/openapi.json"] { try await ask(.GET, path, expect: 200) }
        try await ask(.GET, "/problems/{code}", ["code": "out-of-stock"], expect: 200)
        try await ask(.GET, "/problems/{code}", ["code": "none"], expect: 404)
    }

    func operate() async throws {
        let token = TestService.adminToken
        let stock = "/v1/admin/items/{id}/stock"
        let poster = ["id": "poster"]
        try await ask(.GET, "/v1/admin/overview", token: token, expect: 200)
        try await ask(.GET, "/v1/admin/overview", expect: 401)
        try await ask(.GET, "/v1/admin/overview", token: "guessed", expect: 403)
        try await ask(.POST, stock, poster, token: token, body: "{\"delta\":3,\"reason\":\"found\"}", expect: 200)
        try await ask(.POST, stock, poster, token: token, body: "{\"delta\":-999,\"reason\":\"lost\"}", expect: 409)
        try await ask(.POST, stock, poster, token: token, body: "{\"delta\":1,\"reason\":\"\"}", expect: 422)
        try await ask(.GET, "/v1/admin/items/{id}/ledger", ["id": "concert"], token: token, expect: 200)
        try await ask(.GET, "/v1/admin/items/{id}/ledger", poster, query: "?after=x", token: token, expect: 422)
        try await ask(.GET, "/v1/admin/invariants", token: token, expect: 200)
        try await ask(.GET, "/v1/admin/rush", token: token, expect: 200)
        let rush = "{\"item\":\"drop-atomic\",\"units\":3,\"buyers\":10,\"seconds\":1}"
        try await ask(.POST, "/v1/admin/rush", token: token, body: rush, expect: 202)
        try await ask(.POST, "/v1/admin/rush", token: token, body: rush, expect: 409)
        try await waitUntil("the rush is over") {
            try await service.admin(.GET, "/v1/admin/rush").state != "running"
        }
        let done = try await ask(.GET, "/v1/admin/rush", token: token, expect: 200)
        #expect(done.json["clean"] as? Bool == true, "\(done.text)")
        #expect(done.json["confirmed"] as? Int == 3)
        try await ask(.GET, "/v1/admin/overview", token: token, expect: 200)
    }
}
