import AsyncHTTPClient
import Foundation
import Logging
import Metrics
import NIOCore
import NIOHTTP1
import RedislockKit
import ReservationServiceKit
import Subprocess
import TestSupport
import Testing

#if canImport(System)
    import System
#else
    import SystemPackage
#endif

/// The stores that every promise is tested with.
enum StoreKind: String, CaseIterable, Sendable, CustomTestStringConvertible {
    case sqlite, postgreSQL

    var testDescription: String { rawValue }
}

/// A running service and a client that talks with it over HTTP.
struct TestService: Sendable {
    static let adminToken = "operator-of-tests"

    let running: Server.Running
    let http: HTTPClient
    var shop: Shop { running.shop }

    /// Metrics are the process's: all services of a test run share them.
    static let registry: PrometheusRegistry = {
        let registry = PrometheusRegistry()
        MetricsSystem.bootstrap(registry)
        return registry
    }()

    /// Runs a service on a free port, with servers and a store of its own, for as long as `body` takes.
    static func with(
        _ kind: StoreKind = .sqlite, store: String? = nil, nodes: [String] = [],
        _ adjust: (inout ServiceSettings) -> Void = { _ in },
        _ body: @escaping @Sendable (TestService) async throws -> Void
    ) async throws {
        let folder = try makeTemporaryDirectory("service")
        defer { removeRecursively(folder) }
        let argument: String
        if let store {
            argument = store
        } else {
            switch kind {
            case .sqlite: argument = "sqlite:\(folder)/reservations.sqlite"
            case .postgreSQL: argument = try await makeDatabase()
            }
        }
        var settings = ServiceSettings(store: argument, nodes: NodeSet(nodes))
        settings.port = 0
        settings.adminToken = adminToken
        settings.limits.requestsPerSecond = 10_000
        settings.limits.burst = 10_000
        adjust(&settings)
        var logger = Logger(label: "test", factory: { _ in SwiftLogNoOpLogHandler() })
        logger.logLevel = .critical
        let server = Server(settings: settings, registry: registry, logger: logger)
        var client = HTTPClient.Configuration()
        client.redirectConfiguration = .disallow
        let http = HTTPClient(eventLoopGroupProvider: .singleton, configuration: client)
        do {
            try await server.run(while: { try await body(TestService(running: $0, http: http)) })
            try await http.shutdown()
        } catch {
            try? await http.shutdown()
            throw error
        }
    }

    /// A new database in the cluster that all tests share.
    static func makeDatabase() async throws -> String {
        let cluster = try await PostgreSQLTestCluster.shared.value
        let name = "service_\(UUID().uuidString.prefix(8).lowercased())"
        let made = try await Subprocess.run(
            .path(FilePath("\(cluster.programs)/createdb")),
            arguments: ["-h", "127.0.0.1", "-p", "\(cluster.port)", "-U", "postgres", name],
            output: .discarded, error: .string(limit: 4_096))
        guard made.terminationStatus.isSuccess else { throw TestSupportError("createdb: \(made.standardError)") }
        return cluster.url(user: "postgres", database: name)
    }

    // MARK: Asking

    /// Guarded by never being changed: what was parsed is only read.
    struct Answer: @unchecked Sendable {
        let status: Int
        let headers: HTTPHeaders
        let bytes: Data
        let json: [String: Any]

        var text: String { String(decoding: bytes, as: UTF8.self) }
        var code: String? { json["code"] as? String }
        var id: String? { json["id"] as? String }
        var state: String? { json["state"] as? String }
        func header(_ name: String) -> String? { headers.first(name: name) }
    }

    func send(
        _ method: HTTPMethod, _ path: String, as buyer: Buyer? = nil, token: String? = nil, key: String? = nil,
        body: String? = nil, headers: [(String, String)] = [], within: TimeAmount = .seconds(60)
    ) async throws -> Answer {
        var request = HTTPClientRequest(url: running.url + path)
        request.method = method
        if let token = token ?? buyer?.token { request.headers.add(name: "Authorization", value: "Bearer \(token)") }
        if let key { request.headers.add(name: "Idempotency-Key", value: key) }
        if let body {
            request.headers.add(name: "Content-Type", value: "application/json")
            request.body = .bytes(ByteBuffer(string: body))
        }
        for (name, value) in headers { request.headers.replaceOrAdd(name: name, value: value) }
        let response = try await http.execute(request, timeout: within)
        let bytes = Data(try await response.body.collect(upTo: 1 << 24).readableBytesView)
        let json = (try? JSONSerialization.jsonObject(with: bytes)) as? [String: Any]
        return Answer(status: Int(response.status.code), headers: response.headers, bytes: bytes, json: json ?? [:])
    }

    func admin(_ method: HTTPMethod, _ path: String, body: String? = nil) async throws -> Answer {
        try await send(method, path, token: Self.adminToken, body: body)
    }

    func hold(
        _ line: String, as buyer: Buyer, ttl: Int? = nil, key: String = UUID().uuidString,
        headers: [(String, String)] = []
    ) async throws -> Answer {
        let ttl = ttl.map { ",\"ttl\":\($0)" } ?? ""
        return try await send(
            .POST, "/v1/reservations", as: buyer, key: key, body: "{\"lines\":[\(line)]\(ttl)}", headers: headers)
    }

    func seat(_ label: String, as buyer: Buyer, ttl: Int? = nil, key: String = UUID().uuidString) async throws -> Answer
    {
        try await hold("{\"item\":\"concert\",\"seat\":\"\(label)\"}", as: buyer, ttl: ttl, key: key)
    }
}

/// Somebody with an identity.
struct Buyer: Sendable {
    let token = Caller.makeSecret()
}

/// The built program.
enum Program {
    /// Next to the test bundle, where the build puts both.
    static let path: String = {
        #if os(Linux)
            let own = (try? FileManager.default.destinationOfSymbolicLink(atPath: "/proc/self/exe")) ?? ""
        #else
            let own = CommandLine.arguments[0]
        #endif
        return URL(fileURLWithPath: own).deletingLastPathComponent().appendingPathComponent("reservation-service").path
    }()
}
