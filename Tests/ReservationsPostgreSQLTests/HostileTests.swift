import Dispatch
import Reactor
import Reservations
import Synchronization
import TestSupport
import Testing

@testable import ReservationsPostgreSQL

/// What goes wrong between here and the server, and at the server.
@Suite("The client and a hostile world", .timeLimit(.minutes(3)))
struct HostileTests {
    @Test("a wrong password is a refusal, told at once to all, without the password")
    func wrongPassword() async throws {
        let cluster = try await PostgreSQLTestCluster.shared.value
        try await withClient { admin in
            _ = try await admin.query("DROP ROLE IF EXISTS guarded")
            _ = try await admin.query(#"CREATE ROLE guarded LOGIN PASSWORD 'r''i\gh t='"#)
        }
        try await withClient(url: cluster.url(user: "guarded", password: "r'i%5Cgh%20t=")) { client in
            let answer1 = try await client.query("SELECT current_user")[0, 0]
            #expect(answer1 == "guarded")
        }
        try await withClient(url: cluster.url(user: "guarded", password: "wr0ng")) { client in
            for _ in 0..<3 {
                let error = await #expect(throws: DatabaseError.self) { try await client.query("SELECT 1") }
                #expect(error?.code == .refused)
                #expect(error?.sqlState == "28P01")
                #expect(error?.message.contains("wr0ng") == false)
            }
        }
        try await withClient(url: cluster.url(user: "postgres", database: "nowhere")) { client in
            let error = await #expect(throws: DatabaseError.self) { try await client.query("SELECT 1") }
            #expect(error?.sqlState == "3D000")
            #expect(error?.code == .refused)
        }
    }

    @Test("nobody listens: the reason is told when the time to wait is over")
    func nobodyListens() async throws {
        let port = try await FakePeer.with({ _ in }) { $0.port }
        let url = "postgresql://postgres@127.0.0.1:\(port)/postgres"
        try await withClient(url: url, { $0.acquireTimeout = .seconds(2) }) { client in
            let error = await #expect(throws: DatabaseError.self) { try await client.query("SELECT 1") }
            #expect(error?.code == .connectFailed)
            #expect(error?.message.contains("\(port)") == true)
        }
    }

    @Test("several who wait for a server that is away go on trying")
    func severalTry() async throws {
        let tries = Mutex(0)
        try await FakePeer.with({ _ in tries.withLock { $0 += 1 } }) { peer in
            let url = "postgresql://postgres@127.0.0.1:\(peer.port)/postgres"
            try await withClient(url: url, { $0.acquireTimeout = .seconds(100) }) { client in
                let tasks = (0..<4).map { _ in Task { try await client.query("SELECT 1") } }
                try await waitUntil("they try again") { tries.withLock { $0 } > 6 }
                for task in tasks {
                    task.cancel()
                    await #expect(throws: DatabaseError.self) { try await task.value }
                }
            }
        }
    }

    enum Peer: CaseIterable, Sendable {
        case silent, nonsensical
        /// Says nothing any more after the login.
        case dumbfounded
    }

    @Test("a peer that says nothing, or nonsense, costs the time to wait and no more", arguments: Peer.allCases)
    func strangePeer(_ kind: Peer) async throws {
        try await FakePeer.with({ connection in
            switch kind {
            case .silent: break
            case .nonsensical: try connection.send("HTTP/1.1 400 Bad Request\r\n\r\n")
            case .dumbfounded:
                _ = try connection.readChunk()
                // AuthenticationOk and ReadyForQuery.
                try connection.send("R\0\0\0\u{8}\0\0\0\0Z\0\0\0\u{5}I")
            }
            while true { _ = try connection.readChunk() }
        }) { peer in
            let url = "postgresql://postgres@127.0.0.1:\(peer.port)/postgres?sslmode=disable"
            try await withClient(
                url: url,
                {
                    $0.connectTimeout = .milliseconds(200)
                    $0.acquireTimeout = .seconds(3)
                }
            ) { client in
                let error = await #expect(throws: DatabaseError.self) { try await client.query("SELECT 1") }
                #expect(error?.code == .connectFailed)
            }
        }
    }

    @Test("a server that is killed in the middle of a query: the effect is unknown, or none for what only reads")
    func killedServer() async throws {
        try await PostgreSQLTestCluster.with { cluster in
            try await withClient(url: cluster.url) { client in
                let write = Task { try await client.query("SELECT pg_sleep(600)") }
                let read = Task { try await client.query("SELECT pg_sleep(601)", mayCommit: false) }
                try await waitUntil("both run") {
                    try await client.query(
                        "SELECT count(*) FROM pg_stat_activity WHERE state = 'active' AND query LIKE '%pg_sleep(60%'"
                    )[0, 0] == "3"
                }
                try cluster.kill()
                let lostWrite = await #expect(throws: DatabaseError.self) { try await write.value }
                #expect(lostWrite?.code == .connectionLost)
                #expect(lostWrite?.effectIsUnknown == true)
                let lostRead = await #expect(throws: DatabaseError.self) { try await read.value }
                #expect(lostRead?.code == .connectionLost)
                #expect(lostRead?.effectIsUnknown == false)
                // Whoever asks while it is away gets an answer when it is back.
                let patient = Task { try await client.query("SELECT 'back'") }
                try await waitUntil("it waits") { await client.counts.waiters == 1 }
                try cluster.restart()
                #expect(try await patient.value[0, 0] == "back")
            }
        }
    }

    @Test("a connection that the server ends while it is idle is replaced")
    func idleLoss() async throws {
        try await withClient { client in
            let process = try await client.query("SELECT pg_backend_pid()")[0, 0]
            try await withClient { admin in
                _ = try await admin.query("SELECT pg_terminate_backend($1::int)", [process])
            }
            try await waitUntil("the loss was seen") { await client.counts.connections == 0 }
            let answer2 = try await client.query("SELECT pg_backend_pid()")[0, 0]
            #expect(answer2 != process)
        }
    }

    @Test("a connection that breaks inside a transaction, before the commit, has changed nothing")
    func lossBeforeCommit() async throws {
        try await withClient { client in
            let error = await #expect(throws: DatabaseError.self) {
                try await client.withTransaction { (transaction) async throws(DatabaseError) in
                    let process = try await transaction.run("SELECT pg_backend_pid()")[0, 0]
                    _ = try await client.query("SELECT pg_terminate_backend($1::int)", [process])
                    _ = try await transaction.run("SELECT pg_sleep(600)")
                }
            }
            #expect(error?.code == .connectionLost)
            #expect(error?.effectIsUnknown == false)
            let answer3 = try await client.query("SELECT 1")[0, 0]
            #expect(answer3 == "1")
        }
    }

    @Test("a cancelled task stops its query at the server, and the connection is used again")
    func cancellation() async throws {
        try await withClient({ $0.maximumConnections = 1 }) { client in
            let process = try await client.query("SELECT pg_backend_pid()")[0, 0] ?? ""
            try await withClient { watcher in
                let task = Task { try await client.query("SELECT pg_sleep(600)") }
                try await waitUntilItRuns("pg_sleep(600)", process, watcher)
                task.cancel()
                let error = await #expect(throws: DatabaseError.self) { try await task.value }
                #expect(error?.code == .cancelled)
                #expect(error?.effectIsUnknown == false)
            }
            let answer4 = try await client.query("SELECT pg_backend_pid()")[0, 0]
            #expect(answer4 == process)
        }
    }

    @Test("a task that waits for a connection is cancelled at once")
    func cancelledWaiter() async throws {
        try await withClient({ $0.maximumConnections = 1 }) { client in
            let holder = Task { try await client.query("SELECT pg_sleep(600)") }
            try await waitUntil("the connection is in use") {
                await client.counts.isBusy
            }
            let waiter = Task { try await client.query("SELECT 1") }
            try await waitUntil("one waits") { await client.counts.waiters == 1 }
            waiter.cancel()
            let error = await #expect(throws: DatabaseError.self) { try await waiter.value }
            #expect(error?.code == .cancelled)
            #expect(await client.counts.waiters == 0)
            holder.cancel()
            _ = await holder.result
            let answer5 = try await client.query("SELECT 2")[0, 0]
            #expect(answer5 == "2")
        }
    }

    @Test("a cancelled transaction is rolled back, and leaves nothing locked")
    func cancelledTransaction() async throws {
        try await withClient({ $0.maximumConnections = 2 }) { client in
            let table = "t_\(freshSchema())"
            _ = try await client.query("CREATE TABLE \(table) (n int)")
            _ = try await client.query("INSERT INTO \(table) VALUES (1)")
            let task = Task {
                try await client.withTransaction { (transaction) async throws(DatabaseError) in
                    _ = try await transaction.run("UPDATE \(table) SET n = 2")
                    _ = try await transaction.run("SELECT pg_sleep(600)")
                }
            }
            try await waitUntil("the row is locked") {
                do {
                    _ = try await client.query("SELECT n FROM \(table) FOR UPDATE NOWAIT")
                    return false
                } catch let error as DatabaseError {
                    return error.sqlState == "55P03"
                }
            }
            task.cancel()
            let error = await #expect(throws: DatabaseError.self) { try await task.value }
            #expect(error?.code == .cancelled)
            let answer6 = try await client.query("SELECT n FROM \(table) FOR UPDATE NOWAIT")[0, 0]
            #expect(answer6 == "1")
        }
    }

    @Test("the server's limit for a statement, and ours for a server that hangs")
    func deadlines() async throws {
        try await withClient({ $0.statementTimeout = .milliseconds(100) }) { client in
            let error = await #expect(throws: DatabaseError.self) { try await client.query("SELECT pg_sleep(600)") }
            #expect(error?.sqlState == "57014")
            #expect(error?.effectIsUnknown == false)
        }
        try await withClient { client in
            let error = await #expect(throws: DatabaseError.self) {
                try await client.run(
                    [Statement("SELECT pg_sleep(600)")], mayCommit: true, timeout: .milliseconds(100))
            }
            #expect(error?.code == .timedOut)
            #expect(error?.effectIsUnknown == false)
            let answer7 = try await client.query("SELECT 1")[0, 0]
            #expect(answer7 == "1")
        }
    }

    @Test(
        "a server that stands still is away, with an unknown effect or none, and it is used again when it goes on",
        arguments: [true, false])
    func pausedServer(mayCommit: Bool) async throws {
        try await PostgreSQLTestCluster.with { cluster in
            try await withClient(url: cluster.url, { $0.maximumConnections = 1 }) { client in
                let answer8 = try await client.query("SELECT 1")[0, 0]
                #expect(answer8 == "1")
                try cluster.pause()
                let error = await #expect(throws: DatabaseError.self) {
                    try await client.run([Statement("SELECT 2")], mayCommit: mayCommit, timeout: .milliseconds(100))
                }
                #expect(error?.code == .connectionLost)
                #expect(error?.effectIsUnknown == mayCommit)
                // Whoever is busy is asked again at once.
                #expect(error.map { StoreError($0).code } == .unavailable)
                try cluster.resume()
                let answer9 = try await client.query("SELECT 3")[0, 0]
                #expect(answer9 == "3")
            }
        }
    }

    @Test("the server drops the work of a client that went away")
    func lostClient() async throws {
        let cluster = try await PostgreSQLTestCluster.shared.value
        try await FaultProxy.with(to: cluster.port, speaking: .postgreSQL) { proxy in
            let url = "postgresql://postgres@127.0.0.1:\(proxy.port)/postgres"
            try await withClient(url: url, { $0.statementTimeout = .seconds(600) }) { client in
                let setting = try await client.query(
                    "SELECT current_setting('client_connection_check_interval'), pg_backend_pid()")
                #expect(setting[0, 0] == "1s")
                let process = setting[0, 1] ?? ""
                try await withClient { watcher in
                    let task = Task { try await client.query("SELECT pg_sleep(602)") }
                    try await waitUntilItRuns("pg_sleep(602)", process, watcher)
                    proxy.cut()
                    let error = await #expect(throws: DatabaseError.self) { try await task.value }
                    #expect(error?.code == .connectionLost)
                    try await waitUntil("nobody works on it any more") {
                        try await watcher.query("SELECT FROM pg_stat_activity WHERE pid = $1::int", [process])
                            .affected == 0
                    }
                }
            }
        }
    }

    @Test("the pool is a queue with an end: in order, and bounded in number")
    func fullLine() async throws {
        try await withClient({
            $0.maximumConnections = 2
            $0.maximumWaiters = 3
            $0.acquireTimeout = .seconds(100)
        }) { client in
            let holders = (0..<2).map { _ in Task { try await client.query("SELECT pg_sleep(600)") } }
            try await waitUntil("both are in use") {
                await (client.counts.isBusy, client.counts.connections) == (true, 2)
            }
            let waiters = (0..<3).map { number in Task { try await client.query("SELECT $1::int", ["\(number)"]) } }
            try await waitUntil("three wait") { await client.counts.waiters == 3 }
            let excess = await #expect(throws: DatabaseError.self) { try await client.query("SELECT 1") }
            #expect(excess?.code == .exhausted)
            for holder in holders { holder.cancel() }
            for (number, waiter) in waiters.enumerated() {
                let rows = try await waiter.value
                #expect(rows[0, 0] == "\(number)")
            }
            #expect(await client.counts.connections <= 2)
        }
    }

    @Test("the line is bounded in time")
    func exhaustion() async throws {
        try await withClient({
            $0.minimumConnections = 1
            $0.maximumConnections = 1
            $0.acquireTimeout = .seconds(5)
        }) { client in
            // Whoever connects takes as long as the machine takes; afterwards only the line costs time.
            await client.start()
            try await waitUntil("it is there") { await client.counts.idle == 1 }
            let holder = Task { try await client.query("SELECT pg_sleep(600)") }
            try await waitUntil("it is in use") { await client.counts.isBusy }
            let error = await #expect(throws: DatabaseError.self) { try await client.query("SELECT 1") }
            #expect(error?.code == .exhausted)
            #expect(await client.counts.waiters == 0)
            holder.cancel()
            _ = await holder.result
        }
    }

    @Test("a name service that hangs is asked once, whoever tries, and nobody waits for it in vain for ever")
    func hangingLookup() async throws {
        let cluster = try await PostgreSQLTestCluster.shared.value
        let gate = DispatchSemaphore(value: 0)
        let lookups = Mutex(0)
        var configuration = ClientConfiguration(
            options: try ConnectionOptions("postgresql://postgres@slow.test:\(cluster.port)/postgres"),
            schema: "public")
        configuration.connectTimeout = .milliseconds(10)
        configuration.acquireTimeout = .seconds(2)
        let client = try PostgreSQLClient(
            configuration, reactor: nil,
            lookup: { _ in
                let count = lookups.withLock { count in
                    count += 1
                    return count
                }
                if count == 1 { gate.wait() }
                return .success(["127.0.0.1"])
            })
        let error = await #expect(throws: DatabaseError.self) { try await client.query("SELECT 1") }
        #expect(error?.code == .connectFailed)
        // Each attempt has given up; nobody wants another.
        try await waitUntil("nobody waits for the name") { await client.lookupCount == 0 }
        #expect(lookups.withLock { $0 } == 1)
        gate.signal()
        await client.close()
    }

    @Test("a hundred at once on three connections all get their answer")
    func contention() async throws {
        try await withClient({ $0.maximumConnections = 3 }) { client in
            let sum = try await withThrowingTaskGroup(of: Int.self) { group in
                for number in 0..<100 {
                    group.addTask {
                        try await client.query("SELECT $1::int", ["\(number)"])[0, 0].flatMap { Int($0) } ?? -1
                    }
                }
                return try await group.reduce(0, +)
            }
            #expect(sum == 4950)
            #expect(await client.counts.connections <= 3)
        }
    }

    private func waitUntilItRuns(_ text: String, _ process: String, _ watcher: PostgreSQLClient) async throws {
        try await waitUntil("\(text) runs") {
            let rows = try await watcher.query(
                "SELECT state, query FROM pg_stat_activity WHERE pid = $1::int", [process])
            return rows[0, 0] == "active" && rows[0, 1]?.contains(text) == true
        }
    }
}
