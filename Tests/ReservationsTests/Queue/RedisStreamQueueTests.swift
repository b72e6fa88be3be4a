import Reservations
import Synchronization
import TestSupport
import Testing

@Suite("A queue on Redis Streams", .timeLimit(.minutes(2)))
struct RedisStreamQueueTests {
    private static func names(_ numbers: Range<Int>) -> [RequestName] {
        numbers.map { RequestName(caller: "buyer-\($0)", key: "k") }
    }

    private static func with(
        _ options: RedisTestServer.Options = .init(), timeout: Duration = .seconds(2),
        _ body: (RedisStreamQueue, RedisTestServer) async throws -> Void
    ) async throws {
        try await RedisTestServer.with(options) { server in
            var configuration = RedisStreamQueue.Configuration()
            configuration.timeout = timeout
            let queue = try RedisStreamQueue(server.url, configuration: configuration)
            let result: Result<Void, any Error>
            do {
                result = .success(try await body(queue, server))
            } catch {
                result = .failure(error)
            }
            await queue.close()
            try result.get()
        }
    }

    @Test("Entries come in their order, behind a position, as many as were asked for")
    func reading() async throws {
        try await Self.with { queue, _ in
            #expect(try await queue.lastPosition(of: 0) == nil)
            #expect(try await queue.read(0, after: .start, limit: 10, wait: .milliseconds(1)) == [])
            try await queue.append(Self.names(0..<5), to: 0)
            try await queue.append(Self.names(9..<10), to: 1)
            let all = try await queue.read(0, after: .start, limit: 10, wait: .seconds(1))
            #expect(all.map(\.request) == Self.names(0..<5))
            #expect(all.map(\.position) == all.map(\.position).sorted())
            let some = try await queue.read(0, after: all[1].position, limit: 2, wait: .seconds(1))
            #expect(some.map(\.request) == Self.names(2..<4))
            #expect(try await queue.lastPosition(of: 0) == all[4].position)
        }
    }

    @Test("Whoever waits for an entry gets it when it comes")
    func blocking() async throws {
        try await Self.with { queue, server in
            async let entries = queue.read(0, after: .start, limit: 10, wait: .seconds(60))
            try await waitUntil("somebody waits") {
                try server.command("INFO", "clients").contains("blocked_clients:1")
            }
            try await queue.append(Self.names(0..<1), to: 0)
            #expect(try await entries.map(\.request) == Self.names(0..<1))
        }
    }

    @Test("Trimming forgets what was served, and nothing behind it")
    func trimming() async throws {
        try await Self.with { queue, server in
            try await queue.append(Self.names(0..<5), to: 0)
            try await queue.touch(Self.names(0..<5), in: 0)
            let all = try await queue.read(0, after: .start, limit: 10, wait: .seconds(1))
            try await queue.trim(0, served: Array(all[..<3]))
            let left = try await queue.read(0, after: .start, limit: 10, wait: .seconds(1))
            #expect(left.map(\.request) == Self.names(3..<5))
            #expect(try server.command("ZCARD", "{rsv:q:0}:seen") == "2")
            try await queue.trim(0, served: left)
            #expect(try await queue.lastPosition(of: 0) == all[4].position)
            try await queue.trim(0, served: [])
            // One whom nobody has waited for any more for days.
            try server.command("ZADD", "{rsv:q:0}:seen", "1000", "long\ngone")
            try await queue.touch(Self.names(7..<8), in: 0)
            #expect(try server.command("ZCARD", "{rsv:q:0}:seen") == "1")
        }
    }

    @Test(
        "Names of all kinds come back as they went",
        arguments: [
            ["O'Hara \"x\" \\ {1}", "*"], ["é", "e\u{301}"], ["한국어 🎟", "\u{1F}\u{7F}"], ["$6\r", "nil"], ["c", "k"],
            [String(repeating: "x", count: 200), String(repeating: "é", count: 100)],
        ])
    func strangeNames(texts: [String]) async throws {
        try await Self.with { queue, _ in
            let name = RequestName(caller: texts[0], key: texts[1])
            try await queue.append([name], to: 0)
            let entries = try await queue.read(0, after: .start, limit: 10, wait: .seconds(1))
            #expect(entries.map(\.request) == [name])
            try await queue.touch([name], in: 0)
            #expect(try await queue.silent(among: entries, of: 0, for: .seconds(60)) == [])
            try await queue.trim(0, served: entries)
            #expect(try await queue.read(0, after: .start, limit: 10, wait: .milliseconds(1)) == [])
        }
    }

    @Test("Who was neither touched nor came lately is silent")
    func silence() async throws {
        try await Self.with { queue, server in
            // Entries of long ago.
            for caller in ["ann", "bob", "cid"] {
                try server.command("XADD", "{rsv:q:0}", "\(1_000 + caller.utf8.count)-*", "c", caller, "k", "k")
            }
            let old = try await queue.read(0, after: .start, limit: 10, wait: .seconds(1))
            try await queue.append([RequestName(caller: "dan", key: "k")], to: 0)
            try await queue.touch([RequestName(caller: "bob", key: "k")], in: 0)
            try server.command("ZADD", "{rsv:q:0}:seen", "5000", "cid\nk")
            let all = try await queue.read(0, after: .start, limit: 10, wait: .seconds(1))
            #expect(all.count == 4 && old.count == 3)
            let silent = try await queue.silent(among: all, of: 0, for: .seconds(60))
            #expect(silent.map(\.caller).sorted() == ["ann", "cid"])
            #expect(try await queue.silent(among: [], of: 0, for: .seconds(60)) == [])
        }
    }

    @Test("What somebody else has written into the stream stops nobody")
    func foreignEntries() async throws {
        try await Self.with { queue, server in
            for _ in 0..<5 { try server.command("XADD", "{rsv:q:0}", "*", "who", "knows", "what", "this", "is", "?") }
            try server.command("XADD", "{rsv:q:0}", "*", "a", "b")
            try await queue.append(Self.names(0..<2), to: 0)
            for limit in [1, 2, 6, 100] {
                let entries = try await queue.read(0, after: .start, limit: limit, wait: .seconds(1))
                #expect(entries.first?.request == Self.names(0..<1).first)
            }
        }
    }

    @Test("Announcements reach everybody, also after the server was away")
    func announcements() async throws {
        try await Self.with { queue, server in
            let listener = Task { () -> [QueueProgress] in
                var heard: [QueueProgress] = []
                for await progress in await queue.announcements(of: 0) {
                    heard.append(progress)
                    if Set(heard.map(\.served)).count == 2 { break }
                }
                return heard
            }
            for served: Int64 in [1, 2] {
                try await waitUntil("somebody listens") {
                    try server.command("PUBSUB", "NUMSUB", "{rsv:q:0}:served").contains("1")
                }
                let progress = QueueProgress(served: served, decided: 3, took: .milliseconds(5))
                try await queue.announce(progress, of: 0)
                if served == 1 {
                    try await RedisTestServer.blocking { try server.restartEmpty() }
                    // Not heard by anybody: it gets lost, and the next one does not.
                }
            }
            let heard = await listener.value
            #expect(heard.map(\.decided).allSatisfy { $0 == 3 })
            #expect(heard.map(\.took).allSatisfy { $0 == .milliseconds(5) })
        }
    }

    @Test("After a restart with its data everything is there; without, everything may be appended anew")
    func restarts() async throws {
        var options = RedisTestServer.Options()
        options.isPersistent = true
        try await Self.with(options) { queue, server in
            try await queue.append(Self.names(0..<3), to: 0)
            let before = try await queue.read(0, after: .start, limit: 10, wait: .seconds(1))
            try await RedisTestServer.blocking { try server.restart() }
            try await waitUntil("it is back") { (try? await queue.lastPosition(of: 0)) != nil }
            #expect(try await queue.read(0, after: .start, limit: 10, wait: .seconds(1)) == before)
            try await RedisTestServer.blocking { try server.restartEmpty() }
            try await waitUntil("it is back") {
                do {
                    return try await queue.lastPosition(of: 0) == nil
                } catch {
                    return false
                }
            }
            try await queue.append(Self.names(5..<6), to: 0)
            let after = try await queue.read(0, after: .start, limit: 10, wait: .seconds(1))
            #expect(after.map(\.request) == Self.names(5..<6))
        }
    }

    @Test("Closing ends who reads and who listens; later calls say so")
    func closing() async throws {
        try await Self.with { queue, server in
            let reader = Task { try await queue.read(0, after: .start, limit: 10, wait: .seconds(60)) }
            let listener = Task { for await _ in await queue.announcements(of: 0) {} }
            try await waitUntil("both wait") {
                try server.command("INFO", "clients").contains("blocked_clients:1")
                    && server.command("PUBSUB", "NUMSUB", "{rsv:q:0}:served").contains("1")
            }
            await queue.close()
            await #expect { try await reader.value } throws: { ($0 as? QueueError)?.code == .closed }
            await listener.value
            await #expect { try await queue.append(Self.names(0..<1), to: 0) } throws: {
                ($0 as? QueueError)?.code == .closed
            }
            await #expect { try await queue.read(1, after: .start, limit: 1, wait: .seconds(1)) } throws: {
                ($0 as? QueueError)?.code == .closed
            }
            for await _ in await queue.announcements(of: 1) {}
            await queue.close()
        }
    }

    @Test("A reader whose task is cancelled ends at once, and the next one reads")
    func cancelling() async throws {
        try await Self.with { queue, server in
            let reader = Task { try await queue.read(0, after: .start, limit: 10, wait: .seconds(60)) }
            try await waitUntil("somebody waits") {
                try server.command("INFO", "clients").contains("blocked_clients:1")
            }
            reader.cancel()
            await #expect { try await reader.value } throws: { ($0 as? QueueError)?.code == .cancelled }
            try await queue.append(Self.names(0..<1), to: 0)
            let entries = try await queue.read(0, after: .start, limit: 10, wait: .seconds(1))
            #expect(entries.map(\.request) == Self.names(0..<1))
        }
    }

    @Test("A missing permission is named, and no secret is")
    func permissions() async throws {
        var options = RedisTestServer.Options()
        options.users = ["worker on >s3cret ~* &* -@all +hello +auth +client +ping +xread +time"]
        try await RedisTestServer.with(options) { server in
            for (password, isKnown) in [("s3cret", true), ("wr0ng", false)] {
                let queue = try RedisStreamQueue(server.url(user: "worker", password: password))
                let error = await Self.refusal { () async throws(QueueError) in
                    try await queue.append(Self.names(0..<1), to: 0)
                }
                #expect(error?.code == .misconfigured, "\(String(describing: error))")
                #expect(error?.message.contains(password) == false)
                if isKnown { #expect(error?.message.lowercased().contains("xadd") == true) }
                await queue.close()
            }
        }
    }

    @Test("A server that is too old is named as what it is")
    func oldServer() async throws {
        var options = RedisTestServer.Options()
        options.configuration = ["rename-command ZMSCORE \"\""]
        try await Self.with(options) { queue, _ in
            try await queue.append(Self.names(0..<1), to: 0)
            let entries = try await queue.read(0, after: .start, limit: 10, wait: .seconds(1))
            let error = await Self.refusal { () async throws(QueueError) in
                _ = try await queue.silent(among: entries, of: 0, for: .seconds(60))
            }
            #expect(error?.code == .misconfigured)
            #expect(error?.message.contains("Redis 6.2 or newer is needed") == true, "\(String(describing: error))")
        }
    }

    private static func refusal(_ body: () async throws(QueueError) -> Void) async -> QueueError? {
        do throws(QueueError) {
            try await body()
            return nil
        } catch {
            return error
        }
    }

    @Test("What cannot work is refused at once", arguments: ["", "http://x", "redis://user:s3cret@"])
    func badURLs(url: String) throws {
        do throws(QueueError) {
            _ = try RedisStreamQueue(url)
            Issue.record("\(url) works.")
        } catch {
            #expect(error.code == .misconfigured)
            #expect(!error.message.contains("s3cret"))
        }
    }

    @Test("A server that is away is unavailable, and nobody hangs")
    func away() async throws {
        try await Self.with(timeout: .milliseconds(300)) { queue, server in
            try await queue.append(Self.names(0..<1), to: 0)
            try server.pause()
            await #expect { try await queue.append(Self.names(1..<2), to: 0) } throws: {
                ($0 as? QueueError)?.code == .unavailable
            }
            await #expect { try await queue.read(0, after: .start, limit: 1, wait: .milliseconds(1)) } throws: {
                ($0 as? QueueError)?.code == .unavailable
            }
            try server.resume()
            try await waitUntil("it is back") { (try? await queue.lastPosition(of: 0)) != nil }
        }
    }

    @Test("The graveyard keeps the request and the reason")
    func burying() async throws {
        try await Self.with { queue, server in
            try await queue.bury(RequestName(caller: "ann", key: "k"), of: 0, reason: "Why not.")
            let dead = try server.command("XRANGE", "{rsv:q:0}:dead", "-", "+")
            for word in ["ann", "k", "Why not."] { #expect(dead.contains(word)) }
        }
    }
}
