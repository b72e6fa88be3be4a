import AsyncHTTPClient
import Foundation
import NIOCore
import ReservationServiceKit
import TestSupport
import Testing

@Suite("Listeners and connections")
struct ListenerTests {
    private static func listen(
        _ path: String, as buyer: Buyer? = nil, _ service: TestService
    ) async throws -> HTTPClientResponse {
        var request = HTTPClientRequest(url: service.running.url + path)
        if let buyer { request.headers.add(name: "Authorization", value: "Bearer \(buyer.token)") }
        return try await service.http.execute(request, timeout: .seconds(120))
    }

    @Test("A listener is told that the connection lives, though nothing changes")
    func heartbeat() async throws {
        try await TestService.with { settings in
            settings.limits.heartbeat = .seconds(1)
        } _: { service in
            var text = ""
            for try await part in try await Self.listen("/v1/items/poster/events", service).body {
                text += String(buffer: part)
                if text.contains(": still here\n\n") { break }
            }
            #expect(text.hasPrefix("retry: 2000\n\nevent: state\n"))
            #expect(text.hasSuffix(": still here\n\n"))
        }
    }

    @Test("Whoever waits in a line is told so, too")
    func heartbeatInLine() async throws {
        try await RedisTestServer.with { redis in
            try await TestService.with(
                nodes: [redis.url],
                { settings in
                    settings.decidesInLines = false
                    settings.limits.heartbeat = .seconds(1)
                },
                { service in
                    let buyer = Buyer()
                    #expect(try await service.hold("{\"item\":\"drop-queued\"}", as: buyer, key: "a").status == 202)
                    var text = ""
                    for try await part in try await Self.listen("/v1/requests/a/events", as: buyer, service).body {
                        text += String(buffer: part)
                        // In whatever order they come.
                        if text.contains("event: standing\n"), text.contains(": still here\n\n") { break }
                    }
                    #expect(text.contains("event: standing\n") && !text.contains("event: decided\n"), "\(text)")
                })
        }
    }

    @Test("A listener who does not read is let go, and the others are not")
    func slowListener() async throws {
        try await TestService.with { settings in
            settings.limits.bufferedEvents = 1
            settings.limits.heartbeat = .seconds(86_400)
        } _: { service in
            let hub = service.shop.hub
            let slow = try await hub.listen(to: "poster", after: nil)
            var quick = try await hub.listen(to: "poster", after: nil).makeAsyncIterator()
            // The greeting, which the other one leaves lying.
            #expect(await quick.next() != nil)
            #expect(await hub.count == 2)
            let more = try await service.admin(
                .POST, "/v1/admin/items/poster/stock", body: "{\"delta\":1,\"reason\":\"more\"}")
            #expect(more.status == 200)
            #expect(await quick.next() != nil)
            try await waitUntil("the slow one is let go") { await hub.count == 1 }
            var events = 0
            for await _ in slow { events += 1 }
            #expect(events == 1)
        }
    }

    @Test("There are as many connections as there may be: the next one waits until one is closed")
    func connections() async throws {
        try await TestService.with { settings in
            settings.limits.connections = 1
            // So that the service notices soon that nobody listens any more.
            settings.limits.heartbeat = .seconds(1)
        } _: { service in
            do {
                let response = try await Self.listen("/v1/items/poster/events", service)
                var parts = response.body.makeAsyncIterator()
                #expect(try await parts.next() != nil)
                await #expect(throws: HTTPClientError.self) {
                    _ = try await service.send(.GET, "/healthz", within: .milliseconds(500))
                }
                #expect(try await parts.next() != nil)
            }
            try await waitUntil("there is room again") {
                (try? await service.send(.GET, "/healthz", within: .seconds(5)))?.status == 200
            }
        }
    }
}
