import Foundation
import ReservationServiceKit
import TestSupport
import Testing

@Suite("Buying over HTTP")
struct BuyingTests {
    @Test(
        "A seat is held, confirmed and given back, and every answer says how it stands", arguments: StoreKind.allCases)
    func lifeOfASeat(kind: StoreKind) async throws {
        try await TestService.with(kind) { service in
            let buyer = Buyer()
            let held = try await service.seat("A1", as: buyer)
            #expect(held.status == 201)
            #expect(held.state == "held")
            let id = try #require(held.id)
            #expect(held.header("Location") == "/v1/reservations/\(id)")
            #expect((held.json["expiresInSeconds"] as? Double ?? 0) > 170)
            let confirmed = try await service.send(.POST, "/v1/reservations/\(id)/confirm", as: buyer)
            #expect(confirmed.status == 200)
            #expect(confirmed.state == "confirmed")
            #expect(try await service.send(.GET, "/v1/reservations/\(id)", as: buyer).state == "confirmed")
            let cancelled = try await service.send(.DELETE, "/v1/reservations/\(id)", as: buyer)
            #expect(cancelled.status == 409)
            #expect(cancelled.code == "already-confirmed")
            #expect(try await service.send(.POST, "/v1/reservations/\(id)/return", as: buyer).state == "returned")
            #expect(try await service.seat("A1", as: Buyer()).status == 201)
        }
    }

    @Test(
        "What was claimed under the lock shows its fencing token, and the ledger has the same",
        arguments: StoreKind.allCases)
    func fencingToken(kind: StoreKind) async throws {
        try await TestService.with(kind) { service in
            let first = try await service.hold("{\"item\":\"poster\"}", as: Buyer())
            let second = try await service.hold("{\"item\":\"poster\"}", as: Buyer())
            let tokens = try [first, second].map { try #require($0.header("Fencing-Token").flatMap { Int64($0) }) }
            #expect(tokens[0] < tokens[1])
            let ledger = try await service.admin(.GET, "/v1/admin/items/poster/ledger")
            let entries = ledger.json["entries"] as? [[String: Any]] ?? []
            let fences = entries.filter { $0["kind"] as? String == "hold" }.compactMap {
                ($0["fence"] as? NSNumber)?.int64Value
            }
            #expect(fences == tokens)
            let room = try await service.hold("{\"item\":\"harbour-room\",\"night\":\"2027-05-02\"}", as: Buyer())
            #expect(room.status == 201)
            #expect(room.header("Fencing-Token") == nil)
        }
    }

    @Test(
        "The same key answers the same reservation, once, and says that it is a repetition",
        arguments: StoreKind.allCases)
    func idempotency(kind: StoreKind) async throws {
        try await TestService.with(kind) { service in
            let buyer = Buyer()
            let answers = try await withThrowingTaskGroup(of: TestService.Answer.self) { group in
                for _ in 0..<5 { group.addTask { try await service.seat("B1", as: buyer, key: "click") } }
                return try await group.reduce(into: []) { $0.append($1) }
            }
            #expect(Set(answers.compactMap(\.id)).count == 1)
            #expect(answers.allSatisfy { $0.status == 201 })
            #expect(answers.filter { $0.header("Idempotent-Replayed") == "true" }.count == 4)
            let reused = try await service.seat("B2", as: buyer, key: "click")
            #expect(reused.status == 422)
            #expect(reused.code == "idempotency-key-reused")
            // Keys belong to their caller.
            #expect(try await service.seat("B2", as: Buyer(), key: "click").status == 201)
        }
    }

    @Test("Many want one seat: one gets it, the others are told which are free near by", arguments: StoreKind.allCases)
    func race(kind: StoreKind) async throws {
        try await TestService.with(kind) { service in
            let answers = try await withThrowingTaskGroup(of: TestService.Answer.self) { group in
                for _ in 0..<12 { group.addTask { try await service.seat("D6", as: Buyer()) } }
                return try await group.reduce(into: []) { $0.append($1) }
            }
            #expect(answers.filter { $0.status == 201 }.count == 1)
            let refused = answers.filter { $0.code == "seat-unavailable" }
            #expect(refused.count == 11)
            for answer in refused {
                #expect(answer.status == 409)
                #expect(answer.header("Content-Type") == "application/problem+json")
                let alternatives = answer.json["alternatives"] as? [[String: Any]] ?? []
                #expect(alternatives.contains { $0["seat"] as? String == "D7" || $0["seat"] as? String == "D5" })
            }
        }
    }

    @Test("Nobody sees or changes what belongs to somebody else", arguments: StoreKind.allCases)
    func privacy(kind: StoreKind) async throws {
        try await TestService.with(kind) { service in
            let owner = Buyer()
            let id = try #require(try await service.seat("C1", as: owner).id)
            for (method, path) in [
                ("GET", ""), ("DELETE", ""), ("POST", "/confirm"), ("POST", "/extend"), ("POST", "/return"),
            ] {
                let answer = try await service.send(
                    .init(rawValue: method), "/v1/reservations/\(id)\(path)", as: Buyer())
                #expect(answer.status == 404)
                #expect(answer.code == "not-found")
                let nobody = try await service.send(.init(rawValue: method), "/v1/reservations/\(id)\(path)")
                #expect(nobody.status == 401)
            }
            #expect(try await service.send(.GET, "/v1/reservations/\(id)", as: owner).state == "held")
        }
    }

    @Test("A hold that is over cannot be confirmed, and can be had by others", arguments: StoreKind.allCases)
    func expiry(kind: StoreKind) async throws {
        try await TestService.with(kind) { settings in
            settings.limits.shortestHold = .seconds(1)
        } _: { service in
            let buyer = Buyer()
            let id = try #require(try await service.seat("E1", as: buyer, ttl: 1).id)
            try await waitUntil("the hold is over") {
                try await service.send(.GET, "/v1/reservations/\(id)", as: buyer).state == "expired"
            }
            let late = try await service.send(.POST, "/v1/reservations/\(id)/confirm", as: buyer)
            #expect(late.status == 410)
            #expect(late.code == "hold-expired")
            #expect(late.json["retryable"] as? Bool == false)
            #expect(try await service.seat("E1", as: Buyer()).status == 201)
        }
    }

    @Test("Too few: the numbers, who holds them, and when to come back", arguments: StoreKind.allCases)
    func outOfStock(kind: StoreKind) async throws {
        try await TestService.with(kind) { service in
            #expect(try await service.hold("{\"item\":\"poster\",\"quantity\":20}", as: Buyer()).status == 201)
            let answer = try await service.hold("{\"item\":\"poster\",\"quantity\":5}", as: Buyer())
            #expect(answer.status == 409)
            #expect(answer.code == "out-of-stock")
            // By its title, as the page shows it.
            #expect((answer.json["detail"] as? String ?? "").contains("of \"Signed poster\";"), "\(answer.text)")
            #expect(answer.json["available"] as? Int == 4)
            #expect(answer.json["heldByOthers"] as? Int == 20)
            #expect(answer.json["retryable"] as? Bool == true)
            let advice = try #require(answer.header("Retry-After").flatMap { Int($0) })
            #expect(advice >= (answer.json["nextReleaseInSeconds"] as? Int ?? .max))
        }
    }

    @Test("A hold can be extended; a buyer can hold only so many")
    func limitsOfHolds() async throws {
        try await TestService.with { settings in
            settings.limits.liveHolds = 2
        } _: { service in
            let buyer = Buyer()
            let id = try #require(try await service.seat("F1", as: buyer, ttl: 30).id)
            let longer = try await service.send(
                .POST, "/v1/reservations/\(id)/extend", as: buyer, body: "{\"ttl\":120}")
            #expect((longer.json["expiresInSeconds"] as? Double ?? 0) > 100)
            #expect(try await service.seat("F2", as: buyer).status == 201)
            let third = try await service.seat("F3", as: buyer)
            #expect(third.code == "hold-limit")
            #expect(third.json["limit"] as? Int == 2)
            #expect(third.json["current"] as? Int == 2)
        }
    }
}
