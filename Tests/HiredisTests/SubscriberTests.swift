import Reactor
import TestSupport
import Testing

@testable import Hiredis

@Suite("Pub/sub", .timeLimit(.minutes(1)))
struct SubscriberTests {
    typealias Event = RedisSubscriptionEvent

    /// Makes a subscriber on a Reactor of its own, and closes both.
    func withSubscriber(
        _ url: String,
        _ configuration: RedisConfiguration = testConfiguration(),
        probeInterval: Duration = .seconds(600),
        _ body: (Harness) async throws -> Void
    ) async throws {
        let reactor = try Reactor(name: "test")
        let subscriber = OnReactor(
            try RedisSubscriber(
                url: RedisURL(url), configuration: configuration, reactor: reactor, probeInterval: probeInterval))
        let harness = Harness(reactor: reactor, subscriber: subscriber)
        do { try await body(harness) } catch { Issue.record(error) }
        await reactor.perform { subscriber.value.closeNow() }
        await reactor.stopAndWait()
    }

    struct Harness {
        let reactor: Reactor
        let subscriber: OnReactor<RedisSubscriber>

        @discardableResult
        func subscribe(_ channel: String, _ record: Record<Event>) async -> SubscriptionID {
            await reactor.perform { [subscriber] in
                subscriber.value.subscribe(to: channel) { record.append($0) }
            }
        }

        func unsubscribe(_ id: SubscriptionID) async {
            await reactor.perform { [subscriber] in subscriber.value.unsubscribe(id) }
        }

        func health() async -> RedisHealth {
            await reactor.perform { [subscriber] in subscriber.value.health }
        }
    }

    @Test("messages reach their channel's subscribers, and only them")
    func messages() async throws {
        try await RedisTestServer.with { server in
            try await withSubscriber(server.url) { subscriber in
                let (first, second, other) = (Record<Event>(), Record<Event>(), Record<Event>())
                await subscriber.subscribe("news", first)
                await subscriber.subscribe("other", other)
                await first.wait { $0.contains(.subscribed) }
                await other.wait { $0.contains(.subscribed) }
                await subscriber.subscribe("news", second)
                await second.wait { $0.contains(.subscribed) }
                #expect(try server.command("PUBLISH", "news", "one") == "1")
                let expected = [Event.subscribed, .message(.bulk(Array("one".utf8)))]
                #expect(await first.wait { $0.count == 2 } == expected)
                #expect(await second.wait { $0.count == 2 } == expected)
                try server.command("PUBLISH", "other", "two")
                #expect(await other.wait { $0.count == 2 } == [.subscribed, .message(.bulk(Array("two".utf8)))])
                #expect(first.elements == expected)
            }
        }
    }

    @Test("after a lost connection everything is subscribed again, and the gap is told")
    func reconnect() async throws {
        try await RedisTestServer.with { server in
            try await withSubscriber(server.url) { subscriber in
                let (first, second) = (Record<Event>(), Record<Event>())
                await subscriber.subscribe("a", first)
                await subscriber.subscribe("b", second)
                for round in 1...4 {
                    await first.wait { $0.filter { $0 == .subscribed }.count == round }
                    await second.wait { $0.filter { $0 == .subscribed }.count == round }
                    try server.command("PUBLISH", "a", "\(round)")
                    await first.wait { $0.contains(.message(.bulk(Array("\(round)".utf8)))) }
                    try server.command("CLIENT", "KILL", "TYPE", "pubsub")
                    await first.wait { $0.filter { if case .interrupted = $0 { true } else { false } }.count == round }
                }
                #expect(first.elements.count >= 12)
            }
        }
    }

    @Test("the last subscription to end takes the connection down; a new one brings it up")
    func unsubscribing() async throws {
        try await RedisTestServer.with { server in
            try await withSubscriber(server.url) { subscriber in
                let (first, second) = (Record<Event>(), Record<Event>())
                let a = await subscriber.subscribe("a", first)
                let b = await subscriber.subscribe("b", second)
                await first.wait { $0.contains(.subscribed) }
                await second.wait { $0.contains(.subscribed) }
                await subscriber.unsubscribe(a)
                try await waitUntil("the server knows") { try server.command("PUBSUB", "CHANNELS") == "b" }
                #expect(await subscriber.health() == .ready)
                await subscriber.unsubscribe(b)
                #expect(await subscriber.health() == .idle)
                try await waitUntil("the connection is gone") { try server.command("PUBSUB", "CHANNELS").isEmpty }
                await subscriber.subscribe("a", second)
                await second.wait { $0.filter { $0 == .subscribed }.count == 2 }
                try server.command("PUBLISH", "a", "again")
                await second.wait { $0.contains(.message(.bulk(Array("again".utf8)))) }
                #expect(first.elements == [.subscribed])
            }
        }
    }

    @Test("invalidations of client tracking arrive: keys as an array, a flush as null")
    func invalidations() async throws {
        try await RedisTestServer.with { server in
            try await withSubscriber(server.url) { subscriber in
                let events = Record<Event>()
                await subscriber.subscribe("__redis__:invalidate", events)
                await events.wait { $0.contains(.subscribed) }
                let list = try server.command("CLIENT", "LIST", "TYPE", "pubsub")
                let id = list.split(separator: " ").first?.dropFirst(3) ?? ""
                try await withClient(server.url) { client in
                    let tracking = try await client.command("CLIENT", "TRACKING", "ON", "REDIRECT", String(id))
                    #expect(tracking == .status("OK"))
                    _ = try await client.command("GET", "x")
                    try server.command("SET", "x", "1")
                    await events.wait { $0.contains(.message(.array([.bulk(Array("x".utf8))]))) }
                    try server.command("FLUSHALL")
                    await events.wait { $0.contains(.message(.null)) }
                }
                #expect(events.elements.count == 3)
            }
        }
    }

    static let badShapes = [
        "+subscribe\r\n", ":1\r\n", "$7\r\nmessage\r\n", "$-1\r\n", "*-1\r\n", "*0\r\n", "*1\r\n$7\r\nmessage\r\n",
        "*2\r\n$7\r\nmessage\r\n$1\r\na\r\n", "*3\r\n:1\r\n$1\r\na\r\n$1\r\nx\r\n",
        "*3\r\n$0\r\n\r\n$1\r\na\r\n$1\r\nx\r\n",
        "*3\r\n$-1\r\n$1\r\na\r\n$1\r\nx\r\n", "*3\r\n$7\r\nmessage\r\n:1\r\n$1\r\nx\r\n",
        "*3\r\n$7\r\nmessage\r\n$-1\r\n$1\r\nx\r\n", "*3\r\n$7\r\nmessage\r\n$0\r\n\r\n$1\r\nx\r\n",
        "*3\r\n$7\r\nmessage\r\n*0\r\n$1\r\nx\r\n", "*3\r\n$11\r\nunsubscribe\r\n$1\r\na\r\n$1\r\n0\r\n",
        "*3\r\n$11\r\nunsubscribe\r\n$-1\r\n:0\r\n", "*3\r\n$9\r\nsubscribe\r\n$1\r\na\r\n$1\r\n1\r\n",
        "*3\r\n+message\r\n$1\r\na\r\n$1\r\nx\r\n", "*3\r\n*1\r\n:1\r\n$1\r\na\r\n$1\r\nx\r\n",
        "*4\r\n$8\r\npmessage\r\n$1\r\na\r\n$1\r\na\r\n$1\r\nx\r\n", "*3\r\n$8\r\npmessage\r\n$1\r\na\r\n$1\r\nx\r\n",
        "*3\r\n$7\r\nMESSAGE\r\n$1\r\na\r\n$1\r\nx\r\n", "*3\r\n$7\r\nmessage\r\n$1\r\na\r\n-ERR x\r\n",
        "*3\r\n$7\r\nmessage\r\n$1\r\na\r\n:7\r\n", "*500000000\r\n", "*2\r\n$4\r\npong\r\n$0\r\n\r\n",
        ">3\r\n$7\r\nmessage\r\n$1\r\na\r\n$1\r\nx\r\n",
    ]

    static let confirmation = "*3\r\n$9\r\nsubscribe\r\n$1\r\na\r\n:1\r\n"
    static let message = "*3\r\n$7\r\nmessage\r\n$1\r\na\r\n$1\r\nx\r\n"

    @Test("a message of an odd shape ends the connection, and only that", arguments: badShapes)
    func badShape(_ bytes: String) async throws {
        try await FakePeer.with { peer in
            try peer.shakeHands()
            _ = try peer.readCommand()
            try peer.send(Self.confirmation)
            try peer.send(peer.index == 1 ? bytes : Self.message)
            try peer.hang()
        } _: { peer in
            try await withSubscriber(peer.url) { subscriber in
                let events = Record<Event>()
                await subscriber.subscribe("a", events)
                await events.wait { $0.contains(.message(.bulk(Array("x".utf8)))) }
                let all = events.elements
                #expect(all.first == .subscribed && all.filter { $0 == .subscribed }.count == 2)
                guard case .interrupted(let error) = all[1] else { return #expect(Bool(false), "\(all)") }
                #expect([.protocolViolation, .replyTooLarge].contains(error.code), "\(error)")
            }
            #expect(peer.acceptedCount == 2)
        }
    }

    @Test("confirmations and messages that nobody asked for do no harm")
    func unsolicited() async throws {
        try await FakePeer.with { peer in
            try peer.shakeHands()
            _ = try peer.readCommand()
            try peer.send("*3\r\n$7\r\nmessage\r\n$7\r\nunknown\r\n$1\r\nx\r\n")
            try peer.send("*3\r\n$9\r\nsubscribe\r\n$7\r\nunknown\r\n:7\r\n")
            try peer.send("*3\r\n$11\r\nunsubscribe\r\n$7\r\nunknown\r\n:0\r\n")
            for _ in 0..<3 { try peer.send(Self.confirmation) }
            try peer.send("*3\r\n$11\r\nunsubscribe\r\n$1\r\na\r\n:0\r\n")
            try peer.send("*3\r\n$11\r\nunsubscribe\r\n$1\r\na\r\n:0\r\n")
            try peer.send(Self.message)
            try peer.hang()
        } _: { peer in
            try await withSubscriber(peer.url) { subscriber in
                let events = Record<Event>()
                await subscriber.subscribe("a", events)
                await events.wait { $0.count == 2 }
                #expect(events.elements == [.subscribed, .message(.bulk(Array("x".utf8)))])
            }
            #expect(peer.acceptedCount == 1)
        }
    }

    @Test("mutated and truncated messages end in events or errors, never worse", arguments: 0..<4)
    func fuzz(_ part: UInt64) async throws {
        try await FakePeer.with { peer in
            try peer.shakeHands()
            _ = try peer.readCommand()
            var random = SeededGenerator(seed: part * 7_919 + UInt64(peer.index))
            var bytes = Array((Self.confirmation + Self.message + Self.message).utf8)
            for _ in 0..<Int.random(in: 1...3, using: &random) {
                let index = Int.random(in: 0..<bytes.count, using: &random)
                if Bool.random(using: &random) {
                    bytes[index] = Array("+-:$*\r\n0123456789\0ps".utf8).randomElement(using: &random) ?? 0
                } else {
                    bytes.remove(at: index)
                }
            }
            try peer.send(bytes)
        } _: { peer in
            try await withSubscriber(peer.url) { subscriber in
                let events = Record<Event>()
                await subscriber.subscribe("a", events)
                try await waitUntil("enough connections were spoilt") { peer.acceptedCount >= 120 }
                #expect(await subscriber.health() != .closed)
            }
        }
    }

    @Test("a silent connection is probed, and replaced when the probe is not answered")
    func silence() async throws {
        let answered = Record<Int>()
        try await FakePeer.with { peer in
            try peer.shakeHands()
            _ = try peer.readCommand()
            try peer.send(Self.confirmation)
            if peer.index == 1 { try peer.hang() }
            while true {
                // Probes of later connections are answered.
                _ = try peer.readCommand()
                try peer.send(Self.confirmation)
                answered.append(peer.index)
            }
        } _: { peer in
            try await withSubscriber(peer.url, probeInterval: .milliseconds(20)) { subscriber in
                let events = Record<Event>()
                await subscriber.subscribe("a", events)
                let start = await events.wait { $0.count >= 3 }.prefix(3)
                #expect(start.first == .subscribed && start.last == .subscribed)
                guard case .interrupted(let error) = start[1] else { return #expect(Bool(false), "\(start)") }
                #expect(error.code == .connectionLost)
                // A connection that answers is kept: one and the same answers again and again.
                await answered.wait { probes in probes.contains { index in probes.count { $0 == index } >= 3 } }
            }
        }
    }

    @Test("a user who may not subscribe is told so, and not tried again and again")
    func withoutPermission() async throws {
        var options = RedisTestServer.Options()
        options.users = ["worker on >secret ~* resetchannels -@all +get"]
        try await RedisTestServer.with(options) { server in
            try await withSubscriber(
                server.url(user: "worker", password: "secret"), testConfiguration { $0.backOffCeiling = .seconds(600) }
            ) { subscriber in
                let events = Record<Event>()
                await subscriber.subscribe("a", events)
                await events.wait { !$0.isEmpty }
                guard case .interrupted(let error) = events.elements.first else { return #expect(Bool(false)) }
                #expect(error.serverError?.code == "NOPERM")
                #expect(error.isPermanent)
                #expect(await subscriber.health().isRefused)
            }
        }
    }

    @Test("a stream of events ends its subscription when it is dropped")
    func stream() async throws {
        try await RedisTestServer.with { server in
            try await withSubscriber(server.url) { subscriber in
                let events = await subscriber.reactor.perform { [box = subscriber.subscriber] in
                    box.value.events(of: "a")
                }
                var seen: [Event] = []
                for await event in events {
                    seen.append(event)
                    if event == .subscribed { try server.command("PUBLISH", "a", "x") } else { break }
                }
                #expect(seen == [.subscribed, .message(.bulk(Array("x".utf8)))])
                let task = Task { for await _ in events {} }
                task.cancel()
                await task.value
                try await waitUntil("the server knows") { try server.command("PUBSUB", "CHANNELS").isEmpty }
                #expect(await subscriber.health() == .idle)
            }
        }
    }
}
