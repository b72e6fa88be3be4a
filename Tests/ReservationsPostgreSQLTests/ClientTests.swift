import Reservations
import ReservationsPostgreSQL
import TestSupport
import Testing

@Suite("The client", .timeLimit(.minutes(2)))
struct ClientTests {
    @Test("parameters are values, whatever they look like")
    func injection() async throws {
        try await withClient { client in
            let nasty = [
                "'; DROP TABLE bucket; --", "\" OR 1=1", "\\'; SELECT 1", "$1", "%s%n", "a\nb\tc", "좌석 🎟",
                "{\"a\",NULL}",
                "NULL", "", String(repeating: "x", count: 1 << 20),
            ]
            for text in nasty {
                let rows = try await client.query("SELECT $1::text, length($1::text)", [text])
                #expect(rows[0, 0] == text)
            }
            let array = try await client.query("SELECT unnest($1::text[])", [Statement.array(nasty)])
            #expect((0..<array.count).map { array[$0, 0] } == nasty)
            let rows = try await client.query("SELECT $1::text IS NULL, unnest($2::bigint[])", [nil, "{7,NULL}"])
            #expect(rows[0, 0] == "t")
            #expect([rows[0, 1], rows[1, 1], rows[2, 1]] == ["7", nil, nil])
        }
    }

    @Test("a zero byte is refused, and not taken for the end")
    func zeroByte() async throws {
        try await withClient { client in
            let error = await #expect(throws: DatabaseError.self) {
                try await client.query("SELECT $1::text", ["a\0b"])
            }
            #expect(error?.code == .failed)
            let answer1 = try await client.query("SELECT 1")[0, 0]
            #expect(answer1 == "1")
        }
    }

    @Test("many rows come complete")
    func bigResult() async throws {
        try await withClient { client in
            let rows = try await client.query("SELECT n, repeat('x', 100) FROM generate_series(1, 100000) n")
            #expect(rows.count == 100_000)
            #expect(rows[99_999, 0] == "100000")
            #expect(rows[99_999, 1]?.utf8.count == 100)
        }
    }

    @Test("what comes and goes byte by byte is whole")
    func byteByByte() async throws {
        let cluster = try await PostgreSQLTestCluster.shared.value
        try await FaultProxy.with(to: cluster.port, speaking: .postgreSQL) { proxy in
            for direction in [FaultProxy.Direction.requests, .replies] { proxy.setSlices(direction, of: 1) }
            try await withClient(url: "postgresql://postgres@127.0.0.1:\(proxy.port)/postgres") { client in
                for text in ["좌석", String(repeating: "x", count: 500)] {
                    let rows = try await client.query("SELECT $1::text, $2::text", [text, nil])
                    #expect(Array(rows[0]) == [text, nil])
                }
                let requests = proxy.seen.requests.filter { $0.arguments.first == "SELECT $1::text, $2::text" }
                #expect(requests.map(\.arguments.count) == [2, 2])
            }
        }
    }

    @Test("a batch is one transaction: an error undoes what came before it, and the connection goes on")
    func batch() async throws {
        try await withClient(schema: "pg_temp", { $0.maximumConnections = 1 }) { client in
            _ = try await client.query("CREATE TEMPORARY TABLE note (text text)")
            let insert = Statement("INSERT INTO note VALUES ($1)", ["a"])
            let error = await #expect(throws: DatabaseError.self) {
                try await client.run([insert, Statement("SELECT 1/0"), insert], mayCommit: true)
            }
            #expect(error?.sqlState == "22012")
            #expect(error?.effectIsUnknown == false)
            let answer2 = try await client.query("SELECT count(*) FROM note")[0, 0]
            #expect(answer2 == "0")
            let results = try await client.run(
                [insert, insert, Statement("SELECT count(*) FROM note")], mayCommit: true)
            #expect(results.map(\.affected) == [1, 1, 1])
            #expect(results[2][0, 0] == "2")
        }
    }

    @Test("a text is prepared once, and one that cannot be is tried again")
    func prepared() async throws {
        try await withClient({ $0.maximumConnections = 1 }) { client in
            let count = "SELECT count(*) FROM pg_prepared_statements WHERE statement LIKE '%prepared here%'"
            for _ in 0..<3 { _ = try await client.query("SELECT 'prepared here', $1::int", ["1"]) }
            let answer3 = try await client.query(count)[0, 0]
            #expect(answer3 == "2")
            let table = "t_\(freshSchema())"
            for _ in 0..<2 {
                let error = await #expect(throws: DatabaseError.self) {
                    try await client.query("SELECT * FROM \(table)")
                }
                #expect(error?.sqlState == "42P01")
            }
            _ = try await client.query("CREATE TEMPORARY TABLE \(table) (n int)")
            #expect(try await client.query("SELECT * FROM \(table)").count == 0)
        }
    }

    @Test("errors tell neither values nor passwords")
    func discreetErrors() async throws {
        try await withClient { client in
            let wrongValue = await #expect(throws: DatabaseError.self) {
                try await client.query("SELECT $1::int", ["secret words"])
            }
            #expect(wrongValue?.message.contains("secret") == false)
            _ = try await client.withTransaction { (transaction) async throws(DatabaseError) in
                _ = try await transaction.run("CREATE TEMPORARY TABLE vault (word text PRIMARY KEY)")
                _ = try await transaction.run("INSERT INTO vault VALUES ($1)", ["secret"])
                let error = await #expect(throws: DatabaseError.self) {
                    try await transaction.run("INSERT INTO vault VALUES ($1)", ["secret"])
                }
                #expect(error?.constraint == "vault_pkey")
                #expect(error?.description.contains("secret") == false)
                _ = try await transaction.run("ROLLBACK")
            }
        }
        let error = #expect(throws: DatabaseError.self) { try ConnectionOptions("postgresql://a:s3cret@h:port/x y") }
        #expect(error?.code == .invalidURL)
        #expect(error?.message.contains("s3cret") == false)
    }

    @Test("a transaction ends in a rollback when its body fails, and the connection is used again")
    func rollback() async throws {
        struct Marker {}
        try await withClient({ $0.maximumConnections = 1 }) { client in
            let process = try await client.query("SELECT pg_backend_pid()")[0, 0]
            let table = "t_\(freshSchema())"
            await #expect(throws: DatabaseError.self) {
                try await client.withTransaction { (transaction) async throws(DatabaseError) in
                    _ = try await transaction.run("CREATE TABLE \(table) (n int)")
                    throw DatabaseError(.failed, "No.")
                }
            }
            let answer4 = try await client.query("SELECT to_regclass($1)", [table])[0, 0]
            #expect(answer4 == nil)
            let answer5 = try await client.query("SELECT pg_backend_pid()")[0, 0]
            #expect(answer5 == process)
        }
    }

    @Test("a transaction whose error was swallowed does not pass for committed")
    func swallowedError() async throws {
        try await withClient { client in
            let table = "t_\(freshSchema())"
            let error = await #expect(throws: DatabaseError.self) {
                try await client.withTransaction { (transaction) async throws(DatabaseError) in
                    _ = try await transaction.run("CREATE TABLE \(table) (n int)")
                    _ = try? await transaction.run("SELECT 1/0")
                }
            }
            #expect(error?.code == .failed)
            let rows = try await client.query("SELECT to_regclass($1)", [table])
            #expect(rows[0, 0] == nil)
        }
    }

    @Test("the Unix socket, and a host name that must be looked up")
    func addresses() async throws {
        let cluster = try await PostgreSQLTestCluster.shared.value
        try await withClient(url: cluster.socketURL) { client in
            let answer6 = try await client.query("SELECT inet_server_addr()")[0, 0]
            #expect(answer6 == nil)
        }
        try await withClient(url: "host=nowhere.invalid,localhost port=1,\(cluster.port) user=postgres") { client in
            let rows = try await client.query("SELECT host(inet_server_addr())")
            #expect(rows[0, 0] == "127.0.0.1")
        }
    }

    @Test("an encrypted connection: much both ways, cancellation, and a certificate that is not trusted")
    func encryption() async throws {
        try await PostgreSQLTestCluster.with(
            {
                var options = PostgreSQLTestCluster.Options()
                options.isEncrypted = true
                return options
            }()
        ) { cluster in
            try await withClient(url: cluster.url + "?sslmode=require", { $0.maximumConnections = 1 }) { client in
                let text = String(repeating: "좌석 ", count: 200_000)
                for _ in 0..<3 {
                    let rows = try await client.query(
                        "SELECT $1::text, ssl FROM pg_stat_ssl WHERE pid = pg_backend_pid()", [text])
                    #expect(rows[0, 0] == text)
                    #expect(rows[0, 1] == "t")
                }
                let error = await #expect(throws: DatabaseError.self) {
                    try await client.run(
                        [Statement("SELECT pg_sleep(600)")], mayCommit: true, timeout: .milliseconds(50))
                }
                #expect(error?.code == .timedOut)
                #expect(error?.effectIsUnknown == false)
            }
            let untrusted = cluster.url + "?sslmode=verify-full&sslrootcert=\(cluster.folder)/other.crt"
            try await withClient(url: untrusted, { $0.acquireTimeout = .seconds(2) }) { client in
                let error = await #expect(throws: DatabaseError.self) { try await client.query("SELECT 1") }
                #expect(error?.code == .connectFailed)
            }
        }
    }

    @Test("settings are in force on every connection")
    func settings() async throws {
        try await withClient({
            $0.statementTimeout = .seconds(7)
            $0.lockTimeout = .milliseconds(1_500)
        }) { client in
            let rows = try await client.query(
                """
                SELECT current_setting('statement_timeout'), current_setting('lock_timeout'),
                    current_setting('enable_seqscan'), current_setting('client_encoding')
                """)
            #expect(Array(rows[0]) == ["7s", "1500ms", "off", "UTF8"])
        }
    }

    @Test("a closed client refuses, and closing waits for what is under way")
    func close() async throws {
        let url = try await PostgreSQLTestCluster.shared.value.url
        var configuration = ClientConfiguration(options: try ConnectionOptions(url), schema: "public")
        configuration.lockTimeout = .seconds(14)
        let client = try PostgreSQLClient(configuration)
        try await withClient { other in
            let tasks = try await other.withTransaction { (transaction) async throws(DatabaseError) in
                _ = try await transaction.run("SELECT pg_advisory_xact_lock(4711)")
                let slow = Task { try await client.query("SELECT 'done' FROM pg_advisory_xact_lock(4711)") }
                while await !client.counts.isBusy { await Task.yield() }
                let closing = Task { await client.close() }
                while true {
                    do throws(DatabaseError) {
                        _ = try await client.query("SELECT 1")
                    } catch {
                        #expect(error.code == .closed)
                        break
                    }
                }
                // That of the slow one is still there; another, which served those that came before the end, may be on its way out.
                #expect(await client.counts.connections >= 1)
                return (slow, closing)
            }
            let rows = try await tasks.0.value
            #expect(rows[0, 0] == "done")
            await tasks.1.value
        }
    }
}
