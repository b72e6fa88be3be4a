import RedisLocks
import RedisLocksTesting
import TestSupport
import Testing

/// Rows 11 to 13 of the fault matrix: clients that stand still at the wrong moment, as processes that get SIGSTOP.
@Suite("A quorum under attack: stopped clients", .timeLimit(.minutes(2)))
struct QuorumPauseTests {
    @Test(
        "Row 11: a holder that is stopped past its ttl: another is granted a greater token; the first has lost, and the store refuses it"
    )
    func stoppedAfterGrant() async throws {
        try await withWorkers(
            "acquire,gate:on,valid,claim,write,release", "gate:on,acquire,claim,read,write,gate:off,release"
        ) { first, second, _ in
            let early = try #require(Int64(try await first.wait(for: "done acquire")))
            try await first.wait(for: "begin gate:on")
            try await first.process.pause()
            try second.open("on")
            let late = try #require(Int64(try await second.wait(for: "done acquire")))
            #expect(late > early)
            #expect(try await second.wait(for: "done write") == "accepted")
            try first.open("on")
            try first.process.resume()
            #expect(try await first.wait(for: "done valid") == "false")
            #expect(try await first.wait(for: "done claim") == "refused")
            #expect(try await first.wait(for: "done write") == "refused")
            #expect(try await first.wait(for: "failed release") == "leaseLost expired")
            try second.open("off")
        }
    }

    @Test(
        "Row 12: a client that is stopped while it asks, and whose replies wait in its socket, rejects itself when it goes on"
    )
    func stoppedBeforeCheck() async throws {
        try await withWorkers("gate:on,acquire,gate:end", "gate:on,acquire,gate:off,release", firstWait: .zero) {
            first, second, quorum in
            for proxy in quorum.proxies {
                proxy.set(.replies) { $0.script == .acquire && $0.client == "first" ? .hold : .pass }
            }
            try first.open("on")
            for proxy in quorum.proxies { try await proxy.waitForHeld(.replies, count: 1) }
            try await first.process.pause()
            for proxy in quorum.proxies { proxy.heal() }
            try second.open("on")
            try await second.wait(for: "done acquire")
            try first.process.resume()
            let code = try await first.wait(for: "failed acquire")
            #expect(code == "quorumUnreachable")
            // Its cleanup has gone to nodes where somebody else holds the name now.
            for proxy in quorum.proxies {
                try await proxy.wait(for: "the cleanup") { $0.replies(.release).contains { $0.client == "first" } }
            }
            #expect(try quorum.holders(of: "x").count >= 2)
            try first.open("end")
            try second.open("off")
        }
    }

    @Test(
        "Row 13: a holder that is stopped between its claim and its write: the next one's claim makes the store refuse it"
    )
    func stoppedBeforeWrite() async throws {
        try await withWorkers(
            "acquire,claim,read,gate:on,write,release", "gate:on,acquire,claim,read,gate:off,write,release"
        ) { first, second, _ in
            #expect(try await first.wait(for: "done claim") == "accepted")
            try await first.wait(for: "begin gate:on")
            try await first.process.pause()
            try second.open("on")
            try await second.wait(for: "done read")
            try first.open("on")
            try first.process.resume()
            #expect(try await first.wait(for: "done write") == "refused")
            try second.open("off")
            #expect(try await second.wait(for: "done write") == "accepted")
        }
    }

    /// Two processes on three nodes, and a store that checks tokens. Their history is checked in the end.
    private func withWorkers(
        _ firstSteps: String, _ secondSteps: String, firstWait: Duration = .seconds(60),
        _ body: (StepWorker, StepWorker, RedisTestQuorum) async throws -> Void
    ) async throws {
        try await withNodes(.init(isProxied: true)) { quorum, _ in
            try await RedisTestServer.with { store in
                try await withTemporaryDirectory { folder in
                    let first = try StepWorker(
                        "first", firstSteps, urls: quorum.urls, store: store, folder: folder, firstID: 0,
                        wait: firstWait)
                    let second = try StepWorker(
                        "second", secondSteps, urls: quorum.urls, store: store, folder: folder, firstID: 1000)
                    try await body(first, second, quorum)
                    try await first.end()
                    try await second.end()
                    let history = try LockHistory(lines: first.historyLines + second.historyLines)
                    #expect(history.operations.count == 2)
                    #expect(history.check(inside: true) == [])
                }
            }
        }
    }
}
