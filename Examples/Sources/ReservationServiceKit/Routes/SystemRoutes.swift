import HTTPTypes
import Hummingbird
import RedisLocks
import Reservations
import ReservationPage

/// What machines look at.
struct SystemRoutes {
    let shop: Shop

    func add(to router: Router<ShopContext>) {
        router.get("/healthz") { _, _ in Response.json(.object([("status", .string("ok"))])) }
        router.get("/readyz") { _, _ in await ready() }
        router.get("/metrics") { _, _ in
            // As far as the store tells in time: what else there is to see is most wanted when it does not.
            _ = await check { _ = try await shop.lineWatch.lags() }
            return Response(
                status: .ok,
                headers: [.contentType: "text/plain; version=0.0.4; charset=utf-8", .cacheControl: "no-store"],
                body: ResponseBody(byteBuffer: ByteBuffer(string: shop.registry.text())))
        }
        router.get("/openapi.json") { _, _ in
            Response(
                status: .ok, headers: [.contentType: "application/json", .cacheControl: "no-cache"],
                body: ResponseBody(byteBuffer: ByteBuffer(bytes: PageFile.openAPI.bytes)))
        }
        router.get("/problems/{code}") { _, context in try problem(context) }
    }

    /// The store must answer. Without its lock servers the service lives, but claims of locked items are refused for now.
    private func ready() async -> Response {
        let store = await check { _ = try await shop.store.states(of: [.counted("ready?")]) }
        let locks = await check {
            let status = try await shop.locks.status(of: "ready?")
            guard status.isHeld != nil else { throw Problem(.timedOut) }
        }
        let needsLocks = shop.settings.strategy == .locked
        // Before its lines are open, a service that has just begun can take no request for them.
        let isReady = store && (locks || !needsLocks) && shop.line.isRunning
        return .json(
            .object([
                ("ready", .bool(isReady)), ("store", .bool(store)), ("locks", .bool(locks)),
                ("lines", .bool(shop.line.isRunning)),
            ]),
            status: isReady ? .ok : .serviceUnavailable)
    }

    private func check(_ body: @escaping @Sendable () async throws -> Void) async -> Bool {
        await withTaskGroup(of: Bool.self) { group in
            group.addTask {
                do {
                    try await body()
                    return true
                } catch {
                    return false
                }
            }
            group.addTask {
                try? await Task.sleep(for: .seconds(2))
                return false
            }
            let isGood = await group.next() ?? false
            group.cancelAll()
            return isGood
        }
    }

    /// Where the types of problems lead.
    private func problem(_ context: ShopContext) throws -> Response {
        let code = try context.parameters.require("code")
        guard ProblemCodes.all.contains(code) else { throw Problem(.noSuchResource) }
        return .json(
            .object([
                ("type", .string("/problems/\(code)")), ("title", .string(Problem.title(of: code))),
                ("documentation", .string("/openapi.json")),
            ]))
    }
}

/// Every code that a problem of this service may have.
package enum ProblemCodes {
    package static let all: Set<String> =
        Set(Problem.Own.allCases.map(\.rawValue)).union([
            "out-of-stock", "seat-unavailable", "unknown-bucket", "busy", "unavailable", "outcome-unknown",
            "hold-expired",
            "already-confirmed", "already-cancelled", "already-returned", "not-confirmed", "extension-limit",
            "not-found", "idempotency-key-reused", "idempotency-in-progress", "hold-limit",
            "queue-full", "queue-limit", "withdrawn", "turn-missed",
            "capacity-below-commitments", "invalid-request", "cancelled", "closed", "misconfigured", "failed",
        ])
}
