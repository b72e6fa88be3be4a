import AsyncHTTPClient
import Foundation
import NIOCore
import NIOHTTP1

/// The API as a buyer's program sees it.
struct RushClient: Sendable {
    struct Answer: Sendable {
        let status: Int
        let body: Data
        let retryAfter: Duration?
        let isReplayed: Bool
        var location: String?

        func decode<Body: Decodable>(_ type: Body.Type) -> Body? { try? JSONDecoder().decode(type, from: body) }

        func with(status: Int) -> Answer {
            Answer(status: status, body: body, retryAfter: retryAfter, isReplayed: isReplayed)
        }

        /// The problem of a request that was refused in its line.
        var refusal: Answer? {
            guard status == 200, let json = try? JSONSerialization.jsonObject(with: body) as? [String: Any],
                let problem = json["problem"] as? [String: Any], let status = problem["status"] as? Int,
                let body = try? JSONSerialization.data(withJSONObject: problem)
            else { return nil }
            return Answer(status: status, body: body, retryAfter: nil, isReplayed: false)
        }

        var code: String { decode(ProblemBody.self)?.code ?? "status-\(status)" }
    }

    struct ProblemBody: Decodable { let code: String }

    struct Held: Decodable {
        let id: String
        let state: String
    }

    struct Item: Decodable {
        let strategy: String
        let capacity: Int
        let held: Int
        let sold: Int
        let available: Int
    }

    struct Audit: Decodable {
        struct Finding: Decodable { let rule: String }
        let findings: [Finding]
    }

    struct Ledger: Decodable {
        struct Entry: Decodable {
            let sequence: Int64
            let kind: String
            let heldDelta: Int
        }
        let entries: [Entry]
    }

    let http: HTTPClient
    let urls: [String]
    let answerTime: Duration

    /// Runs `body` with a client of its own.
    static func with<Result: Sendable>(
        _ plan: RushPlan, connections: Int = 256, _ body: @Sendable (RushClient) async throws -> Result
    ) async throws -> Result {
        var configuration = HTTPClient.Configuration()
        configuration.connectionPool.concurrentHTTP1ConnectionsPerHostSoftLimit = connections
        // What was reserved is another answer, and is asked for as such.
        configuration.redirectConfiguration = .disallow
        configuration.timeout.connect = .seconds(5)
        let http = HTTPClient(eventLoopGroupProvider: .singleton, configuration: configuration)
        do {
            let result = try await body(RushClient(http: http, urls: plan.urls, answerTime: plan.answerTime))
            try await http.shutdown()
            return result
        } catch {
            try? await http.shutdown()
            throw error
        }
    }

    /// - Parameter turn: which of the processes is asked, one after the other.
    func send(
        _ method: HTTPMethod, _ path: String, turn: Int = 0, token: String? = nil, key: String? = nil,
        body: String? = nil
    ) async throws -> Answer {
        guard !urls.isEmpty else { throw RushFailure("a rush needs the address of a service") }
        var request = HTTPClientRequest(url: urls[turn % urls.count] + path)
        request.method = method
        if let token { request.headers.add(name: "Authorization", value: "Bearer \(token)") }
        if let key { request.headers.add(name: "Idempotency-Key", value: key) }
        if let body {
            request.headers.add(name: "Content-Type", value: "application/json")
            request.body = .bytes(ByteBuffer(string: body))
        }
        let response = try await http.execute(request, timeout: .nanoseconds(Int64(answerTime / .nanoseconds(1))))
        let bytes = try await response.body.collect(upTo: 1 << 22)
        return Answer(
            status: Int(response.status.code), body: Data(bytes.readableBytesView),
            retryAfter: response.headers.first(name: "Retry-After").flatMap { Int($0) }.map { .seconds($0) },
            isReplayed: response.headers.first(name: "Idempotent-Replayed") == "true",
            location: response.headers.first(name: "Location"))
    }

    /// Asks until there is an answer that is one: one process after the other, for a while.
    func ask(
        _ method: HTTPMethod, _ path: String, token: String? = nil, key: String? = nil, body: String? = nil
    ) async throws -> Answer {
        var turn = 0
        while true {
            do {
                let answer = try await send(method, path, turn: turn, token: token, key: key, body: body)
                if ![429, 503].contains(answer.status) || turn >= Self.maximumTurns { return answer }
            } catch {
                // Where nobody listens, nobody will: but one of several may be about to begin again.
                guard urls.count > 1, turn < Self.maximumTurns else { throw error }
            }
            turn += 1
            try await Task.sleep(for: .milliseconds(250))
        }
    }

    private static let maximumTurns = 40

    func item(_ id: String) async throws -> Item {
        let answer = try await ask(.GET, "/v1/items/\(id)")
        guard answer.status == 200, let item = answer.decode(Item.self) else {
            throw RushFailure("there is no item \(id) at \(urls.joined(separator: ", ")): \(answer.code)")
        }
        return item
    }

    /// The entries of an item's book behind this one.
    func ledger(of item: String, after last: Int64, token: String) async throws -> [Ledger.Entry] {
        var entries: [Ledger.Entry] = []
        while true {
            let after = entries.last?.sequence ?? last
            let answer = try await ask(
                .GET, "/v1/admin/items/\(item)/ledger?after=\(after)&limit=\(Self.page)", token: token)
            guard answer.status == 200, let page = answer.decode(Ledger.self) else {
                throw RushFailure("the book of \(item) cannot be read: \(answer.code)")
            }
            entries += page.entries
            guard page.entries.count == Self.page else { return entries }
        }
    }

    private static let page = 5_000
}

/// Why a rush could not take place.
package struct RushFailure: Error, CustomStringConvertible {
    package let description: String

    package init(_ description: String) { self.description = description }
}
