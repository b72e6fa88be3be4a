import Reactor
import Synchronization
import TestSupport
import Testing

@testable import Hiredis

@Suite("Names and addresses", .timeLimit(.minutes(1)))
struct ResolverTests {
    @Test("localhost is found, whichever of its addresses answers")
    func localhost() async throws {
        try await RedisTestServer.with { server in
            try await withClient("redis://localhost:\(server.port)") { client in
                let reply = try await client.command("PING")
                #expect(reply == .status("PONG"))
            }
        }
    }

    @Test("all addresses are tried, in order, until one answers")
    func severalAddresses() async throws {
        try await FakePeer.with {
            try $0.answerOnce("+fine\r\n")
        } _: { peer in
            let url = "redis://several.test:\(peer.port)"
            // Nobody listens at the first two.
            try await withClient(url, lookup: { _ in .success(["127.0.0.2", "::1", "127.0.0.1"]) }) { client in
                let health = await client.recordHealth()
                let reply = try await client.command("GET", "x")
                #expect(reply == .status("fine"))
                #expect(health.elements.compactMap(\.reason).isEmpty)
            }
        }
    }

    @Test("an address that never answers takes only its share of the connect timeout")
    func silentAddress() async throws {
        try await FakePeer.with { peer in
            if peer.index == 1 { try peer.hang() }
            try peer.answerOnce("+fine\r\n")
        } _: { peer in
            let configuration = testConfiguration { $0.connectTimeout = .milliseconds(200) }
            let url = "redis://several.test:\(peer.port)"
            try await withClient(url, configuration, lookup: { _ in .success(["127.0.0.1", "localhost"]) }) { client in
                let reply = try await client.command("GET", "x")
                #expect(reply == .status("fine"))
                #expect(peer.acceptedCount >= 2)
            }
        }
    }

    @Test("a lookup that hangs ends with the connect timeout, is not doubled, and does no harm when it ends")
    func hangingLookup() async throws {
        let release = Gate()
        let lookups = Atomic<Int>(0)
        try await FakePeer.with {
            try $0.answerOnce("+fine\r\n")
        } _: { peer in
            let configuration = testConfiguration { $0.connectTimeout = .milliseconds(10) }
            try await withClient(
                "redis://slow.test:\(peer.port)", configuration,
                lookup: { _ in
                    lookups.wrappingAdd(1, ordering: .relaxed)
                    release.waitBlocking()
                    return .success(["127.0.0.1"])
                }
            ) { client in
                let health = await client.recordHealth()
                await client.keepConnected()
                let reasons = await health.wait { $0.filter(\.isBackingOff).count >= 3 }.compactMap(\.reason)
                #expect(reasons.allSatisfy { $0.code == .resolutionFailed })
                #expect(lookups.load(ordering: .relaxed) == 1)
                release.open()
                await health.wait { $0.contains(.ready) }
                let reply = try await client.command("GET", "x")
                #expect(reply == .status("fine"))
            }
        }
    }

    @Test("a client closed while its lookup hangs is closed at once, and the answer goes nowhere")
    func closedDuringLookup() async throws {
        let release = Gate()
        let started = Gate()
        let client = try RedisClient(
            url: RedisURL("redis://slow.test"), configuration: testConfiguration(), preamble: .none, reactor: nil,
            lookup: { _ in
                started.open()
                release.waitBlocking()
                return .success(["127.0.0.1"])
            })
        await client.keepConnected()
        await started.wait()
        await client.close(timeout: .zero)
        #expect(await client.health == .closed)
        release.open()
    }

    @Test("a name service that fails and recovers is asked again")
    func flap() async throws {
        let lookups = Atomic<Int>(0)
        try await FakePeer.with {
            try $0.answerOnce("+fine\r\n")
        } _: { peer in
            try await withClient(
                "redis://flap.test:\(peer.port)",
                lookup: { _ in
                    lookups.wrappingAdd(1, ordering: .relaxed).newValue < 4
                        ? .failure(Resolver.LookupFailure(text: "Temporary failure")) : .success(["127.0.0.1"])
                }
            ) { client in
                let health = await client.recordHealth()
                let reply = try await client.command("GET", "x")
                #expect(reply == .status("fine"))
                #expect(health.elements.compactMap(\.reason).first?.message.contains("Temporary failure") == true)
                #expect(lookups.load(ordering: .relaxed) == 4)
            }
        }
    }

    @Test("addresses are known for addresses")
    func numeric() {
        for text in ["127.0.0.1", "::1", "2001:db8::1"] { #expect(Resolver.isNumeric(text)) }
        for text in ["localhost", "example.com", "1.2.3.4.5", "", "::g"] { #expect(!Resolver.isNumeric(text)) }
    }

    @Test("the system's lookup tells addresses, or why not")
    func systemLookup() throws {
        let found = try Resolver.systemLookup("localhost").get()
        #expect(found.contains("127.0.0.1") || found.contains("::1"))
        #expect(throws: Resolver.LookupFailure.self) { try Resolver.systemLookup("no such name").get() }
    }
}
