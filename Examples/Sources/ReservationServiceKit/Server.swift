import Foundation
import Hummingbird
import HummingbirdCore
import Logging
import NIOCore
import RedisLocks
import RedislockKit
import Reservations
import ServiceLifecycle
import UnixSignals

/// The service, from its stores and servers to its last answer.
package struct Server: Sendable {
    package var settings: ServiceSettings
    package let registry: PrometheusRegistry
    package let logger: Logger
    /// Signals that make it end in order.
    package var signals: [UnixSignal] = []

    package init(settings: ServiceSettings, registry: PrometheusRegistry, logger: Logger) {
        self.settings = settings
        self.registry = registry
        self.logger = logger
    }

    /// A service that answers at an address.
    package struct Running: Sendable {
        package let shop: Shop
        package let url: String
    }

    /// Serves until a signal comes, or until `body` is over. `body` runs once the service answers; without one it is only told
    /// so by `onReady`.
    package func run(
        onReady: @escaping @Sendable (Running) -> Void = { _ in },
        while body: (@Sendable (Running) async throws -> Void)? = nil
    ) async throws {
        guard settings.nodes.urls.isEmpty else { return try await serve(settings, onReady, body) }
        // Embedded: a server of our own, gone with this process.
        try await PrivateServers.with(1) { servers in
            var settings = settings
            settings.nodes = NodeSet(await servers.servers.map(\.url))
            try await serve(settings, onReady, body, isNew: true)
        }
    }

    private func serve(
        _ settings: ServiceSettings, _ onReady: @escaping @Sendable (Running) -> Void,
        _ body: (@Sendable (Running) async throws -> Void)?, isNew: Bool = false
    ) async throws {
        let store = try await StoreChoice.open(settings.store)
        do {
            try await store.migrate()
            var configuration = settings.nodes.configuration()
            configuration.clientName = "reservation-service"
            let locks = try RedisLocks(settings.nodes.lockNodes, configuration: configuration, logger: logger)
            let shop = try Shop(
                settings: settings, store: store, locks: locks, registry: registry, logger: logger)
            do {
                try await shop.settings.catalogue.stock(shop.service)
                try await serve(shop, onReady, body, isNew: isNew)
            } catch {
                await shop.queue.close()
                throw error
            }
            await shop.queue.close()
        } catch {
            await store.close()
            throw error
        }
        await store.close()
    }

    private func serve(
        _ shop: Shop, _ onReady: @escaping @Sendable (Running) -> Void,
        _ body: (@Sendable (Running) async throws -> Void)?, isNew: Bool
    ) async throws {
        let (ready, readiness) = AsyncStream<Running>.makeStream()
        let application = makeApplication(shop) { url in
            await shop.rushDesk.listens(at: url)
            await Self.lineOpens(shop.line)
            let running = Running(shop: shop, url: url)
            onReady(running)
            readiness.yield(running)
            readiness.finish()
        }
        // Ended from the last to the first: listeners are sent away, then requests under way are answered, and only then
        // do those stop that they need. Whoever waits in a line goes on waiting in the store.
        let services: [any Service] = [
            shop.locks, shop.line, shop.service, application, shop.lineHub, shop.hub, shop.rushDesk,
        ]
        var configuration = ServiceGroupConfiguration(
            services: services.map { .init(service: $0) }, gracefulShutdownSignals: signals, logger: logger)
        configuration.maximumGracefulShutdownDuration = .seconds(30)
        let group = ServiceGroup(configuration: configuration)
        try await withThrowingTaskGroup(of: Part.self) { tasks in
            tasks.addTask {
                try await group.run()
                return .services
            }
            if isNew {
                tasks.addTask {
                    // Nobody has voted there before; else it would wait until every lock of a former life were over.
                    _ = try await shop.locks.initializeNodes()
                    return .nodes
                }
            }
            if let body {
                tasks.addTask {
                    do {
                        for await running in ready { try await body(running) }
                    } catch {
                        await group.triggerGracefulShutdown()
                        throw error
                    }
                    await group.triggerGracefulShutdown()
                    return .body
                }
            }
            defer { readiness.finish() }
            do {
                while let part = try await tasks.next() {
                    // A signal ends the services, and with them whatever else goes on.
                    if part == .services { tasks.cancelAll() }
                }
            } catch {
                tasks.cancelAll()
                throw Self.explained(error, shop.settings)
            }
        }
    }

    /// Services begin all at once. For a while, lest a store that is away keep the others from being served.
    private static func lineOpens(_ line: WaitingLine) async {
        let end = ContinuousClock.now + .seconds(5)
        while !line.isRunning, ContinuousClock.now < end, !Task.isCancelled {
            try? await Task.sleep(for: .milliseconds(5))
        }
    }

    private enum Part { case services, nodes, body }

    private func makeApplication(
        _ shop: Shop, onRunning: @escaping @Sendable (String) async -> Void
    ) -> some ApplicationProtocol {
        let limits = shop.settings.limits
        let host = shop.settings.host
        let server = HTTPServerBuilder.http1(
            configuration: .init(
                idleTimeout: .nanoseconds(Int64(limits.idleTime / .nanoseconds(1))),
                httpDecoderConfiguration: .init(
                    maxHeaderFieldSize: limits.headerBytes, maxHeaderListSize: limits.headerBytes,
                    maxHeaderFieldCount: 100)))
        return Application(
            responder: ShopRouter.makeFront(shop), server: server,
            configuration: ApplicationConfiguration(
                address: .hostname(host, port: shop.settings.port), serverName: nil, backlog: 4_096,
                availableConnectionsDelegate: MaximumAvailableConnections(limits.connections)),
            onServerRunning: { channel in
                let port = channel.localAddress?.port ?? shop.settings.port
                let name = host.contains(":") ? "[\(host)]" : host
                await onRunning("http://\(name):\(port)")
            },
            logger: logger)
    }

    private static func explained(_ error: any Error, _ settings: ServiceSettings) -> any Error {
        if let error = error as? IOError, error.errnoCode == EADDRINUSE {
            return Failure(.unreachable, "somebody else listens on port \(settings.port): choose another with --port")
        }
        return error
    }
}
