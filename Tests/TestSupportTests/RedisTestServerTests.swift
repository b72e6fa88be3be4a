import TestSupport
import Testing

@Suite(.timeLimit(.minutes(2)))
struct RedisTestServerTests {
    @Test("a server answers, and is gone with its folder after cleaning up")
    func startAndCleanUp() throws {
        let server = try RedisTestServer()
        #expect(try server.command("PING") == "PONG")
        #expect(server.url == "redis://127.0.0.1:\(server.port)")
        let pid = server.processIdentifier
        #expect(processExists(pid))
        server.cleanUp()
        server.cleanUp()
        #expect(!processExists(pid))
        #expect(access(server.folder, F_OK) != 0)
        #expect(throws: TestSupportError.self) { try server.command("PING") }
    }

    @Test("a server goes away with its object")
    func deinitCleansUp() throws {
        let (pid, folder) = try {
            let server = try RedisTestServer()
            return (server.processIdentifier, server.folder)
        }()
        #expect(!processExists(pid))
        #expect(access(folder, F_OK) != 0)
    }

    @Test("ten servers at once get ten ports")
    func manyServers() async throws {
        let servers = try await withThrowingTaskGroup(of: RedisTestServer.self) { group in
            for _ in 0..<10 { group.addTask { try RedisTestServer() } }
            var servers: [RedisTestServer] = []
            for try await server in group { servers.append(server) }
            return servers
        }
        #expect(Set(servers.map(\.port)).count == 10)
        for server in servers { #expect(try server.command("SET", "k", "\(server.port)") == "OK") }
        for server in servers { #expect(try server.command("GET", "k") == "\(server.port)") }
    }

    @Test("a restart keeps the port, and the data only when persistent", arguments: [true, false])
    func restart(isPersistent: Bool) async throws {
        var options = RedisTestServer.Options()
        options.isPersistent = isPersistent
        try await RedisTestServer.with(options) { server in
            try server.command("SET", "k", "v")
            try server.kill()
            #expect(server.processIdentifier == 0)
            #expect(throws: TestSupportError.self) { try server.command("PING") }
            try server.restart()
            #expect(try server.command("EXISTS", "k") == (isPersistent ? "1" : "0"))
            try server.terminate()
            try server.terminate()
            try server.restart()
            #expect(try server.command("PING") == "PONG")
        }
    }

    @Test("a paused server stops, resumes, and can be terminated while paused")
    func pause() async throws {
        try await RedisTestServer.with { server in
            let pid = server.processIdentifier
            try server.pause()
            try await waitUntil("the process is stopped") { try state(of: pid) == "T" }
            try server.resume()
            #expect(try server.command("PING") == "PONG")
            try server.pause()
            try server.terminate()
            #expect(!processExists(pid))
        }
    }

    @Test("a password, ACL users and a Unix socket are set up as asked")
    func accessControl() async throws {
        var options = RedisTestServer.Options()
        options.password = "hunter2"
        options.users = ["worker on >secret ~lock:* -@all +get"]
        options.unixSocket = true
        try await RedisTestServer.with(options) { server in
            #expect(server.url == "redis://:hunter2@127.0.0.1:\(server.port)")
            #expect(server.url(user: "worker", password: "secret", database: 3).hasSuffix("/3"))
            let mayGet = try server.command("ACL", "DRYRUN", "worker", "get", "lock:a")
            #expect(mayGet == "OK")
            let maySet = try server.command("ACL", "DRYRUN", "worker", "set", "lock:a", "1")
            #expect(maySet.contains("no permissions"))
            var status = stat()
            #expect(lstat(server.unixSocketPath, &status) == 0 && status.st_mode & S_IFMT == S_IFSOCK)
        }
    }

    @Test("a memory limit and its policy are set up as asked")
    func memoryLimit() async throws {
        var options = RedisTestServer.Options()
        options.maxMemory = "100kb"
        options.maxMemoryPolicy = "noeviction"
        try await RedisTestServer.with(options) { server in
            let reply = try server.send(["SET", "k", "v"])
            guard case .error(let message) = reply else {
                Issue.record("\(reply)")
                return
            }
            #expect(message.hasPrefix("OOM"))
        }
    }

    @Test("a replica follows its master")
    func replica() async throws {
        try await RedisTestServer.with { master in
            var options = RedisTestServer.Options()
            options.replicaOf = master
            try await RedisTestServer.with(options) { replica in
                try master.command("SET", "k", "v")
                try await waitUntil("the key has arrived") { try replica.command("GET", "k") == "v" }
                #expect(try replica.command("ROLE").hasPrefix("slave"))
            }
        }
    }

    @Test("replies keep their shape, and error replies their words")
    func replies() async throws {
        try await RedisTestServer.with { server in
            #expect(try server.send(["GET", "none"]) == .null)
            #expect(try server.send(["RPUSH", "l", "a b", "", "ü\r\n"]) == .integer(3))
            #expect(try server.send(["LRANGE", "l", "0", "-1"]) == .array([.text("a b"), .text(""), .text("ü\r\n")]))
            #expect(try server.command("PTTL", "l") == "-1")
            let error = try #require(throws: TestSupportError.self) { try server.command("NONSENSE") }
            #expect(error.description.hasPrefix("ERR unknown command"))
        }
    }

    @Test("command counts start at nothing and count each command")
    func commandCounts() async throws {
        try await RedisTestServer.with { server in
            try server.command("CONFIG", "RESETSTAT")
            for _ in 0..<3 { try server.command("INCR", "n") }
            let counts = try server.commandCounts()
            #expect(counts["incr"] == 3)
            #expect(counts["get"] == nil)
        }
    }

    @Test("a connection killed by the server is replaced before the next command")
    func connectionKilled() async throws {
        try await RedisTestServer.with { server in
            try server.command("CLIENT", "KILL", "TYPE", "normal", "SKIPME", "no")
            #expect(try server.command("PING") == "PONG")
        }
    }

    @Test("a bad configuration fails with the server's own words, and leaves nothing behind")
    func badConfiguration() throws {
        var options = RedisTestServer.Options()
        options.configuration = ["no-such-directive yes"]
        let error = try #require(throws: TestSupportError.self) { try RedisTestServer(options) }
        #expect(error.description.contains("no-such-directive"))
    }

    @Test("a server that ends by itself is noticed, not signalled, and can be restarted")
    func endsByItself() async throws {
        try await RedisTestServer.with { server in
            #expect(throws: TestSupportError.self) { try server.command("SHUTDOWN", "NOSAVE") }
            try server.terminate()
            try server.restart()
            #expect(try server.command("PING") == "PONG")
        }
    }

    @Test("servers inherit no descriptor of the test process")
    func inheritsNothing() async throws {
        var ends: [CInt] = [-1, -1]
        try #require(pipe(&ends) == 0)
        defer { close(ends[0]) }
        try await RedisTestServer.with { server in
            close(ends[1])
            // The end of the file is seen only when nobody, the server included, holds the other end.
            var byte: UInt8 = 0
            var entry = pollfd(fd: ends[0], events: Int16(POLLIN), revents: 0)
            #expect(poll(&entry, 1, 10_000) == 1)
            #expect(read(ends[0], &byte, 1) == 0)
            try server.command("PING")
        }
    }

    @Test("a condition that never comes is reported by its name")
    func waitInVain() async throws {
        let error = await #expect(throws: TestSupportError.self) {
            try await waitUntil("pigs fly", within: .zero) { false }
        }
        #expect(error?.description.contains("pigs fly") == true)
    }
}

/// Signal 0 asks without sending anything.
func processExists(_ pid: pid_t) -> Bool {
    pid > 0 && kill(pid, 0) == 0
}

private func state(of pid: pid_t) throws -> Character? {
    #if os(Linux)
        try readText("/proc/\(pid)/stat").split(separator: ")").last?.dropFirst().first
    #else
        "T"
    #endif
}
