import AsyncHTTPClient
import Foundation
import NIOHTTP1
import ReservationServiceKit
import Reservations
import Synchronization
import TestSupport
import Testing

extension TestService {
    fileprivate func stockDrop(_ units: Int) async throws {
        let body = "{\"delta\":\(units),\"reason\":\"test\"}"
        #expect(try await admin(.POST, "/v1/admin/items/drop-queued/stock", body: body).status == 200)
    }
}

@Suite("A line over HTTP")
final class LineTests: Sendable {
    private static let one = "{\"item\":\"drop-queued\"}"

    /// Two services on one store and one server: in the first buyers wait, and nothing is decided before `decide` lets the
    /// second in.
    private static func withLine(
        _ kind: StoreKind, units: Int = 5, _ adjust: @escaping @Sendable (inout ServiceSettings) -> Void = { _ in },
        _ body: @escaping @Sendable (TestService, _ decide: @Sendable () async throws -> Void) async throws -> Void
    ) async throws {
        try await RedisTestServer.with { redis in
            let folder = try makeTemporaryDirectory("line")
            defer { removeRecursively(folder) }
            let store = kind == .sqlite ? "sqlite:\(folder)/r.sqlite" : try await TestService.makeDatabase()
            let url = redis.url
            try await TestService.with(
                store: store, nodes: [url],
                {
                    $0.decidesInLines = false
                    adjust(&$0)
                },
                { service in
                    // Nobody has voted there before.
                    _ = try await service.shop.locks.initializeNodes()
                    try await service.stockDrop(units)
                    try await beside(service, store, url, body)
                })
        }
    }

    private static func beside(
        _ service: TestService, _ store: String, _ url: String,
        _ body: @escaping @Sendable (TestService, _ decide: @Sendable () async throws -> Void) async throws -> Void
    ) async throws {
        let (go, gate) = AsyncStream<Void>.makeStream()
        let (over, end) = AsyncStream<Void>.makeStream()
        try await withThrowingTaskGroup(of: Void.self) { group in
            group.addTask {
                for await _ in go {
                    try await TestService.with(store: store, nodes: [url]) { _ in for await _ in over {} }
                }
            }
            defer {
                gate.finish()
                end.finish()
            }
            try await body(service) {
                gate.yield()
                gate.finish()
            }
            gate.finish()
            end.finish()
            try await group.waitForAll()
        }
    }

    private static func decided(_ key: String, of buyer: Buyer, _ service: TestService) async throws
        -> TestService.Answer
    {
        try await waitUntil("\(key) is decided") {
            try await service.send(.GET, "/v1/requests/\(key)", as: buyer).state != "waiting"
        }
        return try await service.send(.GET, "/v1/requests/\(key)", as: buyer)
    }

    @Test(
        "A buyer is told where he stands, and finds his reservation where he was told to", arguments: StoreKind.allCases
    )
    func waiting(kind: StoreKind) async throws {
        try await Self.withLine(kind) { service, decide in
            let (first, second) = (Buyer(), Buyer())
            let ahead = try await service.hold(Self.one, as: first, key: "a")
            #expect(ahead.status == 202)
            let answer = try await service.hold(Self.one, as: second, key: "b/c ü")
            #expect(answer.status == 202)
            #expect(answer.state == "waiting")
            #expect(answer.json["position"] as? Int == 2)
            #expect(answer.json["estimateSeconds"] is NSNull)
            #expect(answer.header("Retry-After").flatMap { Int($0) } ?? 0 >= 1)
            let place = try #require(answer.header("Location"))
            #expect(place == "/v1/requests/b%2Fc%20%C3%BC")
            #expect(answer.json["events"] as? String == "\(place)/events")
            // The same request again is the same place.
            #expect(try await service.hold(Self.one, as: second, key: "b/c ü").json["position"] as? Int == 2)
            let status = try await service.send(.GET, place, as: second)
            #expect(status.status == 200)
            #expect(status.json["position"] as? Int == 2)
            #expect(status.header("Retry-After") != nil)
            for method in [HTTPMethod.GET, .DELETE] {
                let stranger = try await service.send(method, place, as: Buyer())
                #expect(stranger.status == 404)
                #expect(stranger.code == "not-found")
            }
            #expect(try await service.send(.GET, place + "/events", as: Buyer()).status == 404)
            #expect(try await service.send(.GET, place).status == 401)

            try await decide()
            try await waitUntil("it is decided") { try await service.send(.GET, place, as: second).status == 303 }
            let found = try await service.send(.GET, place, as: second)
            let reservation = try await service.send(.GET, try #require(found.header("Location")), as: second)
            #expect(reservation.state == "held")
            // Too late to leave, and the same request is the same reservation.
            #expect(try await service.send(.DELETE, place, as: second).header("Location") == found.header("Location"))
            let again = try await service.hold(Self.one, as: second, key: "b/c ü")
            #expect(again.status == 201)
            #expect(again.id == reservation.id)
            #expect(again.header("Idempotent-Replayed") == "true")
        }
    }

    @Test("A refusal is told with its problem", arguments: StoreKind.allCases)
    func refusal(kind: StoreKind) async throws {
        try await Self.withLine(kind, units: 1) { service, decide in
            let (first, second) = (Buyer(), Buyer())
            _ = try await service.hold(Self.one, as: first, key: "a")
            _ = try await service.hold(Self.one, as: second, key: "b", headers: [("Accept-Language", "ko")])
            try await decide()
            _ = try await Self.decided("b", of: second, service)
            let refused = try await service.send(
                .GET, "/v1/requests/b", as: second, headers: [("Accept-Language", "ko")])
            #expect(refused.status == 200)
            #expect(refused.state == "refused")
            let problem = try #require(refused.json["problem"] as? [String: Any])
            #expect(problem["code"] as? String == "out-of-stock")
            #expect(problem["heldByOthers"] as? Int == 1)
            #expect(problem["type"] as? String == "/problems/out-of-stock")
            #expect(problem["status"] as? Int == 409)
            #expect((problem["detail"] as? String ?? "").contains("'한정 판매, queued' 1개"), "\(problem)")
            #expect(try await service.send(.DELETE, "/v1/requests/b", as: second).code == "out-of-stock")
        }
    }

    @Test("Whoever leaves the line gets nothing, and may line up again", arguments: StoreKind.allCases)
    func leaving(kind: StoreKind) async throws {
        try await Self.withLine(kind) { service, decide in
            let (buyer, other) = (Buyer(), Buyer())
            _ = try await service.hold(Self.one, as: buyer, key: "a")
            for _ in 0..<2 {
                let left = try await service.send(.DELETE, "/v1/requests/a", as: buyer)
                #expect(left.status == 200)
                #expect(left.state == "withdrawn")
            }
            let status = try await service.send(.GET, "/v1/requests/a", as: buyer)
            #expect(status.state == "refused")
            #expect((status.json["problem"] as? [String: Any])?["code"] as? String == "withdrawn")
            _ = try await service.hold(Self.one, as: other, key: "b")
            try await decide()
            _ = try await Self.decided("b", of: other, service)
            #expect(try await service.admin(.GET, "/v1/items/drop-queued").json["held"] as? Int == 1)
            #expect(try await service.hold(Self.one, as: buyer, key: "a").status == 202)
            #expect(try await Self.decided("a", of: buyer, service).status == 303)
        }
    }

    @Test("A caller waits with so many requests and no more", arguments: StoreKind.allCases)
    func limit(kind: StoreKind) async throws {
        try await Self.withLine(kind, units: 5, { $0.limits.waitingRequests = 2 }) { service, _ in
            let buyer = Buyer()
            for key in ["a", "b"] { #expect(try await service.hold(Self.one, as: buyer, key: key).status == 202) }
            let refused = try await service.hold(Self.one, as: buyer, key: "c")
            #expect(refused.status == 409)
            #expect(refused.code == "queue-limit")
            #expect(refused.json["limit"] as? Int == 2)
            #expect(try await service.hold(Self.one, as: Buyer(), key: "c").status == 202)
            _ = try await service.send(.DELETE, "/v1/requests/a", as: buyer)
            #expect(try await service.hold(Self.one, as: buyer, key: "c").status == 202)
        }
    }

    @Test("The operator sees how many wait, and for how long the first has", arguments: StoreKind.allCases)
    func lag(kind: StoreKind) async throws {
        try await Self.withLine(kind) { service, decide in
            for key in ["a", "b"] {
                #expect(try await service.hold(Self.one, as: Buyer(), key: key).status == 202)
            }
            try await waitUntil("the first has waited for two seconds") {
                let line = try await Self.lines(service).first { $0["waiting"] == 2 }
                return line?["oldestSeconds"] ?? 0 >= 2
            }
            let metrics = try await service.send(.GET, "/metrics").text
            // All services of a test run write into the same metrics: the numbers may be another one's.
            #expect(metrics.contains(/reservations_line_waiting\{line="0"\} [0-9]+\n/))
            #expect(metrics.contains(/reservations_line_oldest_seconds\{line="0"\} [0-9]+\n/))
            try await decide()
            try await waitUntil("nobody waits") {
                let lines = try await Self.lines(service)
                return lines.map { $0["line"] } == [0, 1, 2, 3]
                    && lines.allSatisfy { $0["waiting"] == 0 && $0["oldestSeconds"] == 0 }
            }
        }
    }

    /// What the operator sees of lines; nothing when the service is too busy to say it.
    private static func lines(_ service: TestService) async throws -> [[String: Int]] {
        try await service.admin(.GET, "/v1/admin/overview").json["lines"] as? [[String: Int]] ?? []
    }

    @Test("A line that is full takes nobody more, and says so", arguments: StoreKind.allCases)
    func full(kind: StoreKind) async throws {
        try await Self.withLine(kind, units: 5, { $0.limits.waitingInLine = 2 }) { service, _ in
            let buyer = Buyer()
            #expect(try await service.hold(Self.one, as: buyer, key: "a").status == 202)
            #expect(try await service.hold(Self.one, as: Buyer(), key: "b").status == 202)
            let refused = try await service.hold(Self.one, as: Buyer(), key: "c")
            #expect(refused.status == 503)
            #expect(refused.code == "queue-full")
            #expect(refused.json["waiting"] as? Int == 2)
            #expect(refused.json["retryable"] as? Bool == true)
            #expect(refused.header("Retry-After").flatMap { Int($0) } ?? 0 >= 1)
            // Whoever is in the line already keeps his place.
            #expect(try await service.hold(Self.one, as: buyer, key: "a").json["position"] as? Int == 1)
        }
    }

    @Test("Whoever was away when his turn came is told so, and may line up again", arguments: StoreKind.allCases)
    func missedTurn(kind: StoreKind) async throws {
        try await Self.withLine(kind) { service, decide in
            let buyer = Buyer()
            let name = RequestName(caller: try #require(Caller(secret: buyer.token)).holder, key: "a")
            _ = try await service.hold(Self.one, as: buyer, key: name.key)
            // As the owner of a line does when nobody has been there for long; the first of all owners has the least token.
            let store = service.shop.store
            let line = try #require(try await store.requests([name]).first ?? nil).partition
            guard case .taken(let position, _) = try await store.takePartition(line, token: 1) else {
                Issue.record("somebody owns the line")
                return
            }
            let batch = QueueBatch(
                partition: line, token: 1, from: position, through: QueuePosition(1, 1), turns: [.init(name, .skip)])
            guard case .decided(_, let verdicts) = try await store.decide(batch) else {
                Issue.record("the batch was not decided")
                return
            }
            #expect(verdicts.map(\.kind) == [.skipped])

            let missed = try await service.send(.GET, "/v1/requests/a", as: buyer)
            #expect(missed.state == "refused")
            let problem = try #require(missed.json["problem"] as? [String: Any])
            #expect(problem["code"] as? String == "turn-missed")
            #expect(try await service.send(.DELETE, "/v1/requests/a", as: buyer).code == "turn-missed")
            #expect(try await service.hold(Self.one, as: buyer, key: "a").status == 202)
            try await decide()
            #expect(try await Self.decided("a", of: buyer, service).status == 303)
        }
    }

    @Test("Whoever listens hears where he stands, then the decision, then nothing", arguments: StoreKind.allCases)
    func listening(kind: StoreKind) async throws {
        try await Self.withLine(kind) { service, decide in
            let buyer = Buyer()
            _ = try await service.hold(Self.one, as: buyer, key: "a")
            var request = HTTPClientRequest(url: service.running.url + "/v1/requests/a/events")
            request.headers.add(name: "Authorization", value: "Bearer \(buyer.token)")
            let response = try await service.http.execute(request, timeout: .seconds(60))
            #expect(response.headers.first(name: "Content-Type") == "text/event-stream")
            var text = ""
            var isAsked = false
            for try await part in response.body {
                text += String(buffer: part)
                if !isAsked, text.contains("event: standing") {
                    isAsked = true
                    try await decide()
                }
            }
            let events = text.components(separatedBy: "\n\n").filter { $0.contains("event: ") }
            #expect(events.first?.contains("\"position\":1") == true, "\(text)")
            #expect(events.last?.hasPrefix("event: decided\ndata: {\"state\":\"held\"") == true, "\(text)")
            // Who comes late is told at once.
            let late = try await service.send(.GET, "/v1/requests/a/events", as: buyer)
            #expect(late.text.contains("event: decided"))
        }
    }

    @Test("A service that ends sends its listeners away in order, and they find their place in the next one")
    func ending() async throws {
        try await RedisTestServer.with { redis in
            let folder = try makeTemporaryDirectory("line")
            defer { removeRecursively(folder) }
            let store = "sqlite:\(folder)/r.sqlite"
            let url = redis.url
            let buyer = Buyer()
            try await TestService.with(store: store, nodes: [url], { $0.decidesInLines = false }) { service in
                _ = try await service.shop.locks.initializeNodes()
                try await service.stockDrop(1)
                _ = try await service.hold(Self.one, as: buyer, key: "a")
                let (heard, hearing) = AsyncStream<Void>.makeStream()
                // Goes on while the service ends, and sees a complete answer.
                self.listener.withLock { listener in
                    listener = Task {
                        let http = HTTPClient.shared
                        var request = HTTPClientRequest(url: service.running.url + "/v1/requests/a/events")
                        request.headers.add(name: "Authorization", value: "Bearer \(buyer.token)")
                        let response = try await http.execute(request, timeout: .seconds(60))
                        var text = ""
                        for try await part in response.body {
                            text += String(buffer: part)
                            if text.contains("event: standing") { hearing.finish() }
                        }
                        return text
                    }
                }
                for await _ in heard {}
            }
            let listening = try #require(listener.withLock { $0 })
            let text = try await listening.value
            #expect(text.contains("event: standing"))
            #expect(!text.contains("event: decided"))
            try await TestService.with(store: store, nodes: [url]) { service in
                let decided = try await Self.decided("a", of: buyer, service)
                #expect(decided.status == 303)
            }
        }
    }

    private let listener = Mutex<Task<String, any Error>?>(nil)

    @Test("There are as many listeners as there may be")
    func streams() async throws {
        try await Self.withLine(.sqlite, units: 1, { $0.limits.streams = 0 }) { service, _ in
            let buyer = Buyer()
            _ = try await service.hold(Self.one, as: buyer, key: "a")
            let refused = try await service.send(.GET, "/v1/requests/a/events", as: buyer)
            #expect(refused.status == 503)
            #expect(refused.code == "too-many-streams")
        }
    }
}
