import Reactor
import TestSupport
import Testing

@testable import Hiredis

@Suite("The life of a connection", .timeLimit(.minutes(1)))
struct ConnectionLifeTests {
    @Test("a server that is killed and comes back is found again, without anybody asking")
    func serverKilled() async throws {
        try await RedisTestServer.with { server in
            try await withClient(server.url) { client in
                let health = await client.recordHealth()
                await client.keepConnected()
                await health.wait { $0.contains(.ready) }
                try server.kill()
                let reason = await health.wait { $0.contains(where: \.isBackingOff) }.compactMap(\.reason).first
                #expect(reason?.code == .connectionLost)
                try server.restart()
                await health.wait { $0.filter(\.isReady).count == 2 }
                #expect(await client.generation == 2)
                #expect(try await client.command("PING") == .status("PONG"))
            }
        }
    }

    @Test("commands under way when the server dies are lost, and may have been executed; later ones wait for the next")
    func lossWithCommandsUnderWay() async throws {
        try await RedisTestServer.with { server in
            try await withClient(server.url) { client in
                async let lost = client.failure(of: "BLPOP", "nothing", "0")
                try await waitUntil("the command blocks") {
                    try server.command("INFO", "clients").contains("blocked_clients:1")
                }
                try server.kill()
                let error = await lost
                #expect(error?.code == .connectionLost)
                #expect(error?.mayHaveBeenExecuted == true)
                async let waiting = client.command("SET", "x", "y")
                try server.restart()
                let outcome = try await waiting
                #expect(outcome == .status("OK"))
            }
        }
    }

    @Test("a connection killed by the server's operator is replaced")
    func clientKill() async throws {
        try await RedisTestServer.with { server in
            try await withClient(server.url) { client in
                let health = await client.recordHealth()
                await client.keepConnected()
                for round in 1...5 {
                    await health.wait { $0.filter(\.isReady).count == round }
                    let id = try await client.command("CLIENT", "ID").integer ?? 0
                    #expect(try server.command("CLIENT", "KILL", "ID", "\(id)") == "1")
                }
                await health.wait { $0.filter(\.isReady).count == 6 }
                #expect(await client.generation == 6)
            }
        }
    }

    @Test("an idle connection that nobody wants is not replaced when it is lost")
    func noDemand() async throws {
        let end = Gate()
        try await FakePeer.with { peer in
            try peer.shakeHands()
            _ = try peer.readCommand()
            try peer.send("+fine\r\n")
            end.waitBlocking()
        } _: { peer in
            try await withClient(peer.url) { client in
                let health = await client.recordHealth()
                #expect(try await client.command("GET", "x") == .status("fine"))
                end.open()
                await health.wait { $0.last == .idle }
                #expect(peer.acceptedCount == 1)
                let next = try await client.command("GET", "x")
                #expect(next == .status("fine"))
            }
        }
    }

    @Test("nobody listening: commands wait, and are told the reason at their deadline")
    func nobodyListens() async throws {
        try await withClient("redis://127.0.0.1:\(try unusedPort())") { client in
            let error = await client.failure(of: "GET", "x", timeout: .milliseconds(100))
            #expect(error?.code == .timedOut)
            #expect(error?.outcome == .notApplied)
            let reason = await client.waitForHealth { $0.isBackingOff || $0.isIdle }
            if let reason = reason?.reason { #expect(reason.code == .connectFailed) }
        }
    }

    @Test("a handshake that is not answered ends with the connect timeout")
    func connectTimeout() async throws {
        try await FakePeer.with {
            try $0.hang()
        } _: { peer in
            try await withClient(peer.url, testConfiguration { $0.connectTimeout = .milliseconds(30) }) { client in
                let health = await client.recordHealth()
                let error = await client.failure(of: "GET", "x", timeout: .milliseconds(200))
                #expect(error?.code == .timedOut)
                #expect(error?.mayHaveBeenExecuted == false)
                let reasons = await health.wait { $0.contains(where: \.isBackingOff) }.compactMap(\.reason)
                #expect(reasons.first?.code == .connectTimedOut)
            }
        }
    }

    @Test("closing does not wait for what waits for a server that is away")
    func closingWithoutServer() async throws {
        try await withClient("redis://127.0.0.1:\(try unusedPort())") { client in
            async let error = client.failure(of: "GET", "x", timeout: .seconds(3600))
            try await client.waitForPending(1)
            // An hour, which the time limit of the suite would cut short.
            await client.close(timeout: .seconds(3600))
            #expect(await error?.code == .closed)
        }
    }

    @Test("hundreds of connections come and go, and every one is closed")
    func manyConnections() async throws {
        try await FakePeer.with {
            try $0.shakeHands()
            try $0.hang()
        } _: { peer in
            try await withClient(peer.url) { client in
                let health = await client.recordHealth()
                await client.keepConnected()
                for round in 1...300 {
                    await health.wait { $0.filter(\.isReady).count == round }
                    await client.withConnection {
                        $0.replaceConnection(because: RedisError(.connectionLost, "A test."))
                    }
                }
            }
            #expect(peer.acceptedCount >= 300)
            try await waitUntil("the peer has seen the end of each connection") { peer.runningCount == 0 }
        }
    }

    @Test("a hundred clients with Reactors of their own leave nothing open")
    func manyClients() async throws {
        try await FakePeer.with {
            try $0.answerOnce("+fine\r\n")
        } _: { peer in
            for _ in 0..<100 {
                try await withClient(peer.url) { client in
                    let reply = try await client.command("GET", "x")
                    #expect(reply == .status("fine"))
                }
            }
            #expect(peer.acceptedCount == 100)
            try await waitUntil("the peer has seen the end of each connection") { peer.runningCount == 0 }
        }
    }

    @Test("an idle connection costs no wake-up")
    func idle() async throws {
        try await RedisTestServer.with { server in
            try await withClient(server.url) { client in
                for _ in 0..<10 { _ = try await client.command("PING") }
                // One turn more, so that the last reply's own turn is over.
                await client.reactor.perform {}
                let before = client.reactor.wakeUpCount
                try await Task.sleep(for: .milliseconds(300))  // sleep: an interval of real time is the subject
                #expect(client.reactor.wakeUpCount - before <= 1)
            }
        }
    }

    @Test("a graceful close waits for the replies under way, and takes no more commands")
    func gracefulClose() async throws {
        let (received, release) = (Gate(), Gate())
        try await FakePeer.with { peer in
            try peer.shakeHands()
            _ = try peer.readCommand()
            received.open()
            release.waitBlocking()
            try peer.send("+late\r\n")
            try peer.hang()
        } _: { peer in
            let client = try RedisClient(url: RedisURL(peer.url), configuration: testConfiguration())
            async let reply = client.command("GET", "x")
            await received.wait()
            async let closed: Void = client.close(timeout: .seconds(20))
            while await client.failure(of: "GET", "y", timeout: .milliseconds(1))?.code != .closed {
                try Task.checkCancellation()
            }
            release.open()
            let outcome = try await reply
            #expect(outcome == .status("late"))
            await closed
            #expect(await client.health == .closed)
            #expect(await client.failure(of: "GET", "x")?.code == .closed)
        }
    }

    @Test("a close that cannot wait tells each command whether it may have been executed")
    func hardClose() async throws {
        let received = Gate()
        try await FakePeer.with { peer in
            try peer.shakeHands()
            _ = try peer.readCommand()
            received.open()
            try peer.hang()
        } _: { peer in
            let client = try RedisClient(url: RedisURL(peer.url), configuration: testConfiguration())
            async let sent = client.failure(of: "GET", "x")
            await received.wait()
            await client.close(timeout: .milliseconds(1))
            let error = await sent
            #expect(error?.code == .closed)
            #expect(error?.mayHaveBeenExecuted == true)
        }
        let client = try RedisClient(
            url: RedisURL("redis://127.0.0.1:\(try unusedPort())"), configuration: testConfiguration())
        async let unsent = client.failure(of: "GET", "x")
        try await client.waitForPending(1)
        await client.close(timeout: .milliseconds(1))
        #expect(await unsent?.mayHaveBeenExecuted == false)
    }

    @Test("observers of the health hear of the end")
    func healthStreamEnds() async throws {
        let client = try RedisClient(url: RedisURL("redis://127.0.0.1:1"), configuration: testConfiguration())
        let stream = await client.healthChanges()
        await client.close(timeout: .zero)
        var last: RedisHealth?
        for await health in stream { last = health }
        #expect(last == .closed)
        var late: [RedisHealth] = []
        for await health in await client.healthChanges() { late.append(health) }
        #expect(late == [.closed])
    }
}
