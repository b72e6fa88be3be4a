/// Several independent `redis-server`s, for a lock that lives on a majority of them, each behind a proxy if a test wants to
/// do something to its connections, and with a clock of its own if it wants to move that.
package final class RedisTestQuorum: Sendable {
    package struct Options: Sendable {
        package var count = 3
        /// Clients connect through a ``FaultProxy`` for each node.
        package var isProxied = false
        /// Each node has a ``ClockShim``. Linux only.
        package var hasClocks = false
        package var server = RedisTestServer.Options()

        package init(
            count: Int = 3, isProxied: Bool = false, hasClocks: Bool = false, server: RedisTestServer.Options = .init()
        ) {
            self.count = count
            self.isProxied = isProxied
            self.hasClocks = hasClocks
            self.server = server
        }
    }

    package let servers: [RedisTestServer]
    /// One for each server; none unless ``Options/isProxied``.
    package let proxies: [FaultProxy]
    #if os(Linux)
        /// One for each server; none unless ``Options/hasClocks``.
        package let clocks: [ClockShim]
    #endif

    private init(_ options: Options, servers: [RedisTestServer], clocks: [any Sendable]) throws {
        self.servers = servers
        #if os(Linux)
            self.clocks = clocks.compactMap { $0 as? ClockShim }
        #endif
        proxies = options.isProxied ? try servers.map { try FaultProxy(to: $0.port) } : []
    }

    /// Starts all servers at the same time, runs `body`, and cleans up.
    package static func with<Result>(
        _ options: Options = Options(),
        isolation: isolated (any Actor)? = #isolation,
        _ body: (RedisTestQuorum) async throws -> Result
    ) async throws -> Result {
        let quorum = try await start(options)
        do {
            let result = try await body(quorum)
            await quorum.cleanUp()
            return result
        } catch {
            await quorum.cleanUp()
            throw error
        }
    }

    package static func start(_ options: Options) async throws -> RedisTestQuorum {
        var clocks: [any Sendable] = []
        var settings: [RedisTestServer.Options] = []
        for _ in 0..<options.count {
            var server = options.server
            if options.hasClocks {
                #if os(Linux)
                    let clock = try ClockShim()
                    clock.preload(into: &server)
                    clocks.append(clock)
                #else
                    throw TestSupportError("There is no clock shim on this platform.")
                #endif
            }
            settings.append(server)
        }
        let servers = try await onEach(settings) { try RedisTestServer($0) }
        return try RedisTestQuorum(options, servers: servers, clocks: clocks)
    }

    package func cleanUp() async {
        for proxy in proxies { await proxy.stop() }
        _ = try? await Self.onEach(servers) { $0.cleanUp() }
    }

    /// Where clients connect to: the proxies, if there are any.
    package var urls: [String] { proxies.isEmpty ? directURLs : proxies.map(\.url) }
    /// Past the proxies.
    package var directURLs: [String] { servers.map(\.url) }

    // MARK: All at once

    /// Does something to the servers at the same time, on threads of their own.
    package func forEach(
        _ indices: some Sequence<Int>, _ body: @escaping @Sendable (RedisTestServer) throws -> Void
    ) async throws {
        _ = try await Self.onEach(indices.map { servers[$0] }, body)
    }

    package func kill(_ indices: some Sequence<Int>) async throws { try await forEach(indices) { try $0.kill() } }
    package func restart(_ indices: some Sequence<Int>) async throws { try await forEach(indices) { try $0.restart() } }
    /// Kill, wipe, restart.
    package func restartEmpty(_ indices: some Sequence<Int>) async throws {
        try await forEach(indices) { try $0.restartEmpty() }
    }
    package func pause(_ indices: some Sequence<Int>) async throws { try await forEach(indices) { try $0.pause() } }
    package func resume(_ indices: some Sequence<Int>) async throws { try await forEach(indices) { try $0.resume() } }

    /// Sets a fencing counter: as if so many tokens had been granted by that node.
    package func setCounter(of name: String, to values: [Int64]) throws {
        for (server, value) in zip(servers, values) { try server.command("SET", "{\(name)}:fence", "\(value)") }
    }

    /// The fencing counter at each node; 0 where there is none.
    package func counters(of name: String) throws -> [Int64] {
        try servers.map { Int64(try $0.command("GET", "{\(name)}:fence")) ?? 0 }
    }

    /// The nodes where somebody holds the name.
    package func holders(of name: String) throws -> [Int] {
        try servers.indices.filter { try servers[$0].command("EXISTS", name) == "1" }
    }

    private static func onEach<Item: Sendable, Result: Sendable>(
        _ items: [Item], _ body: @escaping @Sendable (Item) throws -> Result
    ) async throws -> [Result] {
        try await withThrowingTaskGroup(of: (Int, Result).self) { group in
            for (index, item) in items.enumerated() {
                group.addTask { (index, try await RedisTestServer.blocking { try body(item) }) }
            }
            var results: [Int: Result] = [:]
            for try await (index, result) in group { results[index] = result }
            return items.indices.compactMap { results[$0] }
        }
    }
}
