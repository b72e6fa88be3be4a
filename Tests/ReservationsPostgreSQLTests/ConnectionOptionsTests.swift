import TestSupport
import Testing

@testable import ReservationsPostgreSQL

@Suite("Connection options")
struct ConnectionOptionsTests {
    private func keywords(_ url: String, _ resolved: [String: [String]] = [:]) throws -> [String: String] {
        let pairs = try ConnectionOptions(url).connectKeywords(resolved: resolved)
        return Dictionary(pairs) { _, _ in "twice" }
    }

    @Test("a name is given to libpq with all its addresses, so that libpq looks nothing up")
    func addresses() throws {
        let url = "postgresql://a:b@one,two:7/shop?sslmode=verify-full"
        #expect(try ConnectionOptions(url).namesToResolve == ["one", "two"])
        let found = try keywords(url, ["one": ["10.0.0.1", "::1"], "two": ["10.0.0.2"]])
        #expect(found["host"] == "one,one,two")
        #expect(found["hostaddr"] == "10.0.0.1,::1,10.0.0.2")
        #expect(found["port"] == ",,7")
        #expect(found["sslmode"] == "verify-full")
        #expect(found["dbname"] == "shop")
        #expect(found["password"] == "b")
        #expect(found["gssencmode"] == "disable")
    }

    @Test("sockets and given addresses need no look-up")
    func noNames() throws {
        #expect(try ConnectionOptions("host=/run/pg dbname=a").namesToResolve.isEmpty)
        #expect(try ConnectionOptions("hostaddr=10.0.0.1 host=name").namesToResolve.isEmpty)
        let found = try keywords("hostaddr=10.0.0.1,10.0.0.2 host=name port=5")
        #expect(found["host"] == "name,name")
        #expect(found["hostaddr"] == "10.0.0.1,10.0.0.2")
    }

    @Test(
        "what this client decides, and what would decide for it, cannot be set",
        arguments: ["options", "service", "replication", "client_encoding", "connect_timeout"])
    func forbidden(keyword: String) {
        let error = #expect(throws: DatabaseError.self) { try ConnectionOptions("postgresql://h/d?\(keyword)=1") }
        #expect(error?.code == .invalidURL)
        #expect(error?.message.contains(keyword) == true)
    }

    @Test(
        "nonsense is refused without being quoted",
        arguments: [
            "postgresql://s3cret@h:99999/d", "postgresql://s3cret@h:http/d", "postgresql://[s3cret", "s3cret",
            "host=a,b,c port=1,2 password=s3cret", "postgresql://h/d?sslmod=s3cret", "postgresql://s3cret@h/\0d",
        ])
    func nonsense(url: String) {
        let error = #expect(throws: DatabaseError.self) { try ConnectionOptions(url) }
        #expect(error?.code == .invalidURL)
        #expect(error?.message.contains("s3cret") == false)
    }

    @Test("what the environment might fill in is said")
    func explicit() throws {
        let found = try keywords("host=/run/pg dbname=a")
        #expect(["hostaddr", "options", "replication"].map { found[$0] } == ["", "", ""])
        #expect(found["port"]?.isEmpty == false)
    }

    @Test("the URL decides where and how to connect, and not the environment")
    func environment() async throws {
        let cluster = try await PostgreSQLTestCluster.shared.value
        let worker = try WorkerProcess(["hostile-environment", cluster.socketURL])
        let lines = await worker.lines.reduce(into: [] as [String]) { $0.append($1) }
        #expect(lines.first == "4MB")
        #expect(lines.last?.hasPrefix("invalidURL The environment sets PGSERVICE") == true)
    }

    @Test("a location has neither user nor password")
    func location() throws {
        #expect(try ConnectionOptions("postgresql://me:s3cret@db:7/shop").location == "db:7")
    }

    @Test("a SQLSTATE is found in libpq's words, in any language")
    func serverError() {
        let text = """
            connection to server at "127.0.0.1", port 5 failed: FATAL:  28P01: password authentication failed for user "a"
            LOCATION:  auth_failed, auth.c:329
            """
        #expect(LibPQ.serverError(in: text)?.state == "28P01")
        #expect(LibPQ.serverError(in: "failed: FATALE:  3D000: a\n")?.message == "a")
        #expect(LibPQ.serverError(in: "could not connect: Connection refused\n\tIs it running?") == nil)
        #expect(LibPQ.serverError(in: ":  12345:") == nil)
    }
}
