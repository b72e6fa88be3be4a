import Foundation
import RedislockKit
import ReservationServiceKit
import Reservations
import Subprocess
import TestSupport
import Testing

@Suite("Operating the service")
struct OperatingTests {
    @Test("Without a token there is no administration")
    func offByDefault() async throws {
        try await TestService.with { settings in
            settings.adminToken = nil
        } _: { service in
            for path in ["overview", "invariants", "rush", "items/poster/ledger"] {
                let answer = try await service.admin(.GET, "/v1/admin/\(path)")
                #expect(answer.status == 404)
                #expect(answer.code == "no-such-resource")
            }
        }
    }

    @Test("Metrics have the outcomes and the requests, in Prometheus' format")
    func metrics() async throws {
        try await TestService.with { service in
            #expect(try await service.hold("{\"item\":\"poster\"}", as: Buyer()).status == 201)
            let text = try await service.send(.GET, "/metrics").text
            #expect(text.contains("# TYPE reservations_outcomes_total counter"))
            #expect(
                text.contains("reservations_outcomes_total{operation=\"reserve\",outcome=\"held\",strategy=\"locked\"}")
            )
            #expect(text.contains("http_requests_total{method=\"POST\",route=\"/v1/reservations\",status=\"201\"}"))
            #expect(text.contains("# TYPE reservations_seconds histogram"))
            #expect(text.contains("le=\"+Inf\""))
            for line in text.split(separator: "\n") where !line.hasPrefix("#") {
                #expect(line.wholeMatch(of: /[a-zA-Z_:][a-zA-Z0-9_:]*(\{.*\})? -?[0-9.e+-]+/) != nil, "\(line)")
            }
        }
    }

    @Test("Without its lock servers the service lives, says that it is not ready, and refuses for the moment")
    func locksAway() async throws {
        try await RedisTestServer.with { redis in
            let url = redis.url
            try await TestService.with(nodes: [url]) { settings in
                settings.limits.requestTime = .seconds(10)
                settings.nodes.hasRestartGuard = false
            } _: { service in
                #expect(try await service.send(.GET, "/readyz").status == 200)
                try await RedisTestServer.blocking { try redis.kill() }
                try await waitUntil("it is not ready") { try await service.send(.GET, "/readyz").status == 503 }
                #expect(try await service.send(.GET, "/healthz").status == 200)
                let buyer = Buyer()
                let refused = try await service.hold("{\"item\":\"poster\"}", as: buyer, key: "patient")
                #expect(refused.status == 503)
                #expect(refused.json["retryable"] as? Bool == true)
                #expect(
                    try await service.hold("{\"item\":\"harbour-room\",\"night\":\"2027-05-01\"}", as: buyer).status
                        == 201)
                try await RedisTestServer.blocking { try redis.restart() }
                try await waitUntil("the same request is granted") {
                    try await service.hold("{\"item\":\"poster\"}", as: buyer, key: "patient").status == 201
                }
            }
        }
    }

    @Test(
        "What was answered before the end is there after it, and requests under way are answered",
        arguments: StoreKind.allCases)
    func gracefulShutdown(kind: StoreKind) async throws {
        let folder = try makeTemporaryDirectory("service")
        defer { removeRecursively(folder) }
        let store = kind == .sqlite ? "sqlite:\(folder)/r.sqlite" : try await TestService.makeDatabase()
        let buyers = (0..<20).map { _ in Buyer() }
        let requests = Requests()
        try await TestService.with(store: store) { service in
            for buyer in buyers {
                await requests.add(buyer) { try? await service.hold("{\"item\":\"poster\"}", as: buyer).id }
            }
            // The first has its answer: the service ends now, with the others under way.
            _ = await requests.first?.value
        }
        let answered = await requests.answered
        #expect(!answered.isEmpty)
        try await TestService.with(store: store) { service in
            for (id, buyer) in answered {
                let found = try await service.send(.GET, "/v1/reservations/\(id)", as: buyer)
                #expect(found.state == "held")
            }
            let report = try await service.admin(.GET, "/v1/admin/invariants")
            #expect(report.json["clean"] as? Bool == true)
        }
    }

    @Test(
        "A holder that was paused past its lease is refused by the row, and the refusal is counted",
        arguments: StoreKind.allCases)
    func staleFence(kind: StoreKind) async throws {
        try await TestService.with(kind) { service in
            let before = TestService.registry.total("reservations_stale_fences_total")
            let report = try await StaleFenceDrill(service.shop, item: "poster", program: Program.path).run()
            #expect(report.refused >= 1)
            #expect(report.staleToken < report.winningToken)
            #expect(report.winningToken < report.secondToken)
            #expect(TestService.registry.total("reservations_stale_fences_total") >= before + report.refused)
            let view = try await service.admin(.GET, "/v1/admin/overview")
            #expect(view.json["staleFencesRefused"] as? Int ?? 0 >= 1)
            #expect(try await service.send(.GET, "/v1/items/poster").json["held"] as? Int == 0)
        }
    }
}

/// Requests that go on while the service ends.
private actor Requests {
    private var tasks: [(Buyer, Task<String?, Never>)] = []

    var first: Task<String?, Never>? { tasks.first?.1 }

    func add(_ buyer: Buyer, _ ask: @escaping @Sendable () async -> String?) {
        tasks.append((buyer, Task { await ask() }))
    }

    /// Ids of what was answered, and whose it is.
    var answered: [(String, Buyer)] {
        get async {
            var answered: [(String, Buyer)] = []
            for (buyer, task) in tasks {
                if let id = await task.value { answered.append((id, buyer)) }
            }
            return answered
        }
    }
}
