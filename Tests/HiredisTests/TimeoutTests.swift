import Reactor
import TestSupport
import Testing

@testable import Hiredis

@Suite("Timeouts", .timeLimit(.minutes(1)))
struct TimeoutTests {
    @Test("a command that times out keeps its slot: its late reply is dropped, its neighbours get theirs")
    func lateReply() async throws {
        let release = Gate()
        try await FakePeer.with { peer in
            try peer.shakeHands()
            var commands: [[String]] = []
            while commands.count < 2 { commands.append(try peer.readCommand()) }
            release.waitBlocking()
            for command in commands { try peer.send("+\(command[1])\r\n") }
            try peer.hang()
        } _: { peer in
            try await withClient(peer.url) { client in
                await client.keepConnected()
                await client.waitForHealth(\.isReady)
                let error = await client.failure(of: "ECHO", "first", timeout: .milliseconds(20))
                #expect(error?.code == .timedOut)
                #expect(error?.mayHaveBeenExecuted == true)
                async let second = client.command("ECHO", "second")
                try await client.waitForPending(2)
                release.open()
                let outcome = try await second.string
                #expect(outcome == "second")
            }
            #expect(peer.acceptedCount == 1)
        }
    }

    @Test("each command has its own deadline, whatever the order they were given in")
    func ownDeadlines() async throws {
        try await FakePeer.with {
            try $0.shakeHands()
            try $0.hang()
        } _: { peer in
            try await withClient(peer.url) { client in
                let order = Record<Int>()
                await client.withConnection { connection in
                    let start = ContinuousClock.now
                    for milliseconds in [60, 20, 40, 10, 50, 30] {
                        let deadline = start + .seconds(1) + .milliseconds(milliseconds)
                        connection.submit(RedisCommand("GET", "x"), deadline: deadline) { _ in
                            order.append(milliseconds)
                        }
                    }
                }
                #expect(await order.wait { $0.count == 6 } == [10, 20, 30, 40, 50, 60])
            }
        }
    }

    @Test("a connection that leaves an abandoned command unanswered is replaced, and its other commands are told")
    func stall() async throws {
        try await FakePeer.with { peer in
            try peer.shakeHands()
            if peer.index == 1 { try peer.hang() }
            while true {
                _ = try peer.readCommand()
                try peer.send("+fine\r\n")
            }
        } _: { peer in
            try await withClient(peer.url, testConfiguration { $0.stallBound = .milliseconds(50) }) { client in
                await client.keepConnected()
                await client.waitForHealth(\.isReady)
                let errors = Record<RedisError?>()
                await client.withConnection { connection in
                    for wait in [Duration.milliseconds(10), .seconds(20)] {
                        connection.submit(RedisCommand("GET", "x"), deadline: .now + wait) { errors.append($0.error) }
                    }
                }
                let both = await errors.wait { $0.count == 2 }
                #expect(both.map { $0?.code } == [.timedOut, .connectionLost])
                #expect(both.allSatisfy { $0?.mayHaveBeenExecuted == true })
                let next = try await client.command("GET", "x")
                #expect(next == .status("fine"))
                #expect(peer.acceptedCount == 2)
            }
        }
    }

    @Test("a cancelled command behind a long one that is still waited for is no stall")
    func noStall() async throws {
        let release = Gate()
        try await FakePeer.with { peer in
            try peer.shakeHands()
            _ = try peer.readCommand()
            _ = try peer.readCommand()
            release.waitBlocking()
            try peer.send("+slow\r\n+dropped\r\n")
            try peer.hang()
        } _: { peer in
            try await withClient(peer.url, testConfiguration { $0.stallBound = .milliseconds(10) }) { client in
                await client.keepConnected()
                await client.waitForHealth(\.isReady)
                async let slow = client.command("EVAL", "slow")
                try await client.waitForPending(1)
                let error = await client.failure(of: "GET", "x", timeout: .milliseconds(10))
                #expect(error?.code == .timedOut)
                try await Task.sleep(for: .milliseconds(50))  // sleep: longer than the bound is the subject
                release.open()
                let outcome = try await slow
                #expect(outcome == .status("slow"))
            }
            #expect(peer.acceptedCount == 1)
        }
    }

    @Test("a paused server: the command times out, and after the pause replies find their owners")
    func pausedServer() async throws {
        try await RedisTestServer.with { server in
            try await withClient(server.url) { client in
                #expect(try await client.command("SET", "x", "1") == .status("OK"))
                try server.pause()
                let error = await client.failure(of: "INCR", "x", timeout: .milliseconds(50))
                try server.resume()
                #expect(error?.outcome == .ambiguous)
                let after = try await client.command("INCR", "x")
                #expect(after == .integer(3), "the first one was executed after all")
            }
        }
    }

    @Test("a deadline that has passed sends nothing")
    func passedDeadline() async throws {
        try await RedisTestServer.with { server in
            try await withClient(server.url) { client in
                _ = try await client.command("PING")
                let error = await client.failure(of: "SET", "x", "1", timeout: .zero)
                #expect(error?.code == .timedOut)
                #expect(error?.outcome == .notApplied)
                #expect(try await client.command("EXISTS", "x") == .integer(0))
            }
        }
    }
}
