import Foundation
import RedisLocks
import ReservationServiceKit
import TestSupport
import Testing

@Suite("What a request must be like")
struct RequestRulesTests {
    @Test("A reservation without a key, without JSON or without sense is refused, and says where the flaw is")
    func flaws() async throws {
        try await TestService.with { service in
            let buyer = Buyer()
            let line = "{\"lines\":[{\"item\":\"poster\"}]}"
            let noKey = try await service.send(.POST, "/v1/reservations", as: buyer, body: line)
            #expect(noKey.status == 400)
            #expect(noKey.code == "idempotency-key-missing")
            let noJSON = try await service.send(.POST, "/v1/reservations", as: buyer, key: "1", body: "seats, please")
            #expect(noJSON.status == 400)
            #expect(noJSON.code == "malformed-body")
            let form = try await service.send(
                .POST, "/v1/reservations", as: buyer, key: "1", body: line, headers: [("Content-Type", "text/plain")])
            #expect(form.status == 415)
            for (body, pointer) in [
                ("{\"lines\":[{\"seat\":\"A1\"}]}", "/lines/0/item"), ("{\"lines\":[]}", "/lines"),
                ("{\"lines\":[{\"item\":\"poster\",\"quantity\":\"two\"}]}", "/lines/0/quantity"),
                ("{\"lines\":[{\"item\":\"poster\",\"quantity\":0}]}", "/lines/0/quantity"),
                ("{\"lines\":[{\"item\":\"x\",\"seat\":\"A1\",\"night\":\"2027-05-01\"}]}", "/lines/0"),
                ("{\"lines\":[{\"item\":\"poster\"}],\"ttl\":0}", "/ttl"),
            ] {
                let answer = try await service.send(.POST, "/v1/reservations", as: buyer, key: "1", body: body)
                #expect(answer.status == 422)
                #expect(answer.code == "invalid-request")
                let errors = answer.json["errors"] as? [[String: Any]] ?? []
                #expect(errors.first?["pointer"] as? String == pointer, "\(body): \(answer.text)")
            }
            let many = (1...17).map { "{\"item\":\"concert\",\"seat\":\"A\($0)\"}" }.joined(separator: ",")
            let tooMany = try await service.hold(many, as: buyer)
            #expect(tooMany.status == 422)
            let wrongMethod = try await service.send(.PATCH, "/v1/items/poster")
            #expect(wrongMethod.status == 405 || wrongMethod.status == 404)
            #expect(wrongMethod.header("Content-Type") == "application/problem+json")
            let unknown = try await service.hold("{\"item\":\"unicorn\"}", as: buyer)
            #expect(unknown.status == 404)
            #expect(unknown.code == "unknown-bucket")
        }
    }

    @Test("A problem speaks the language that is asked for")
    func languages() async throws {
        try await TestService.with { service in
            for (field, language, word) in [
                ("ko-KR,ko;q=0.9,en;q=0.5", "ko", "예약"), ("en-GB", "en", "no such reservation"),
                ("de, fr;q=0.8", "en", "no such reservation"), ("en;q=0.2, ko;q=0.7", "ko", "예약"),
            ] {
                let answer = try await service.send(
                    .GET, "/v1/reservations/\(UUID().uuidString)", as: Buyer(), headers: [("Accept-Language", field)])
                #expect(answer.header("Content-Language") == language)
                #expect((answer.json["detail"] as? String ?? "").contains(word))
                #expect(answer.json["type"] as? String == "/problems/not-found")
            }
        }
    }

    @Test("One caller's haste is slowed down, and nobody else's")
    func rateLimit() async throws {
        try await TestService.with { settings in
            settings.limits.requestsPerSecond = 0.1
            settings.limits.burst = 3
        } _: { service in
            let hasty = Buyer()
            for _ in 0..<3 { #expect(try await service.send(.GET, "/v1/items/poster", as: hasty).status == 200) }
            let refused = try await service.send(.GET, "/v1/items/poster", as: hasty)
            #expect(refused.status == 429)
            #expect(refused.code == "rate-limited")
            #expect((1...10).contains(try #require(refused.header("Retry-After").flatMap { Int($0) })))
            #expect(try await service.send(.GET, "/v1/items/poster", as: Buyer()).status == 200)
            for _ in 0..<5 { #expect(try await service.send(.GET, "/healthz").status == 200) }
        }
    }

    @Test("Too large a body and too long a header are refused")
    func sizes() async throws {
        try await TestService.with { service in
            let large = String(repeating: " ", count: 20_000) + "{\"lines\":[{\"item\":\"poster\"}]}"
            let answer = try await service.send(.POST, "/v1/reservations", as: Buyer(), key: "1", body: large)
            #expect(answer.status == 413)
            #expect(answer.code == "body-too-large")
            let long = try await service.send(
                .GET, "/v1/items", headers: [("X-Long", String(repeating: "x", count: 20_000))])
            #expect((400..<500).contains(long.status))
        }
    }

    @Test("A request that takes too long is given up without effect, and may be sent again")
    func timeLimit() async throws {
        try await TestService.with { settings in
            settings.limits.requestTime = .milliseconds(300)
        } _: { service in
            // Somebody has the seat's lock for now.
            let lease = try await service.shop.locks.acquire("rsv:concert/seat/G1")
            let buyer = Buyer()
            let answer = try await service.seat("G1", as: buyer, key: "patient")
            #expect(answer.status == 503)
            #expect(["cancelled", "timed-out"].contains(answer.code))
            try await lease.release()
            try await waitUntil("the same request is granted") {
                try await service.seat("G1", as: buyer, key: "patient").status == 201
            }
        }
    }

    @Test("Another site cannot act for whoever has the page open")
    func otherSites() async throws {
        try await TestService.with { service in
            for header in [("Origin", "https://evil.example"), ("Sec-Fetch-Site", "cross-site")] {
                let answer = try await service.hold("{\"item\":\"poster\"}", as: Buyer(), headers: [header])
                #expect(answer.status == 403)
                #expect(answer.code == "cross-origin")
            }
            let own = ("Origin", service.running.url)
            #expect(try await service.hold("{\"item\":\"poster\"}", as: Buyer(), headers: [own]).status == 201)
        }
    }

    @Test("The page brings an identity that only this browser has, and a made-up one is nobody")
    func identities() async throws {
        try await TestService.with { service in
            let page = try await service.send(.GET, "/")
            #expect(page.status == 200)
            let cookie = try #require(page.header("Set-Cookie"))
            #expect(cookie.contains("HttpOnly") && cookie.contains("SameSite=Strict"))
            let pair = String(cookie.prefix { $0 != ";" })
            let held = try await service.send(
                .POST, "/v1/reservations", key: "1", body: "{\"lines\":[{\"item\":\"poster\"}]}",
                headers: [("Cookie", "other=1; \(pair)")])
            #expect(held.status == 201)
            let again = try await service.send(.GET, "/", headers: [("Cookie", pair)])
            #expect(again.header("Set-Cookie") == nil)
            for invented in ["buyer=byr_1", "buyer=guest", "buyer="] {
                let answer = try await service.send(
                    .POST, "/v1/reservations", key: "1", body: "{\"lines\":[{\"item\":\"poster\"}]}",
                    headers: [("Cookie", invented)])
                #expect(answer.status == 401)
            }
        }
    }
}
