import Foundation
import Logging
import RedisLocks
import RedislockKit
import Reservations

/// Everything that the routes share.
package final class Shop: Sendable {
    package let settings: ServiceSettings
    package let store: WatchedStore
    package let service: ReservationService
    package let locks: RedisLocks
    package let line: WaitingLine
    let queue: RedisStreamQueue
    package let tally = Tally()
    package let registry: PrometheusRegistry
    package let hub: ItemHub
    let lineHub: LineHub
    let lineWatch: LineWatch
    let auditor: Auditor
    let rushDesk: RushDesk
    let logger: Logger
    let started = Date()
    /// A demonstration has few items, and each line has connections of its own. The store keeps the number.
    package static let linePartitions = 4

    package init(
        settings: ServiceSettings, store: any QueueingReservationStore, locks: RedisLocks, registry: PrometheusRegistry,
        logger: Logger
    ) throws {
        self.settings = settings
        self.store = WatchedStore(store, tally: tally)
        self.locks = locks
        self.registry = registry
        self.logger = logger
        queue = try Self.makeQueue(settings)
        line = try Self.makeLine(settings, self.store, queue, locks, logger)
        service = try ReservationService(
            store: self.store, configuration: Self.configuration(settings, locks, line), logger: logger)
        hub = ItemHub(service: service, limits: settings.limits)
        lineHub = LineHub(limits: settings.limits)
        lineWatch = LineWatch(line: line)
        auditor = Auditor(service: service)
        rushDesk = RushDesk()
    }

    private static func configuration(
        _ settings: ServiceSettings, _ locks: RedisLocks, _ line: WaitingLine
    ) -> ReservationService.Configuration {
        var configuration = ReservationService.Configuration()
        configuration.hold = settings.hold
        configuration.limits.minimumHold = min(settings.limits.shortestHold, settings.hold)
        // As many as one lock may have names.
        configuration.limits.linesPerRequest = 16
        configuration.limits.liveHoldsPerHolder = settings.limits.liveHolds
        configuration.strategy = strategy(settings.strategy, locks, line)
        for item in settings.catalogue.items {
            if let name = item.strategy { configuration.strategies[item.id] = strategy(name, locks, line) }
        }
        return configuration
    }

    private static func strategy(_ name: StrategyName, _ locks: RedisLocks, _ line: WaitingLine) -> Strategy {
        switch name {
        case .locked: .locked(locks)
        case .atomic: .atomic
        case .optimistic: .optimistic()
        case .pessimistic: .pessimistic()
        case .queued: .queued(line)
        }
    }

    private static func makeQueue(_ settings: ServiceSettings) throws -> RedisStreamQueue {
        guard let url = settings.queueNode ?? settings.nodes.urls.first else {
            throw Failure(.usage, "there is no server for waiting lines: give --queue-node or --node")
        }
        var configuration = RedisStreamQueue.Configuration()
        configuration.unsafeAllowPlaintextPasswords = settings.nodes.allowsPlaintextPassword
        do throws(QueueError) {
            return try RedisStreamQueue(url, configuration: configuration)
        } catch {
            throw Failure(.configuration, error.message)
        }
    }

    private static func makeLine(
        _ settings: ServiceSettings, _ store: WatchedStore, _ queue: RedisStreamQueue, _ locks: RedisLocks,
        _ logger: Logger
    ) throws -> WaitingLine {
        var configuration = WaitingLine.Configuration()
        configuration.partitions = linePartitions
        configuration.ownsPartitions = settings.decidesInLines
        configuration.maximumWaiting = settings.limits.waitingInLine
        configuration.maximumWaitingPerCaller = settings.limits.waitingRequests
        configuration.silence = settings.limits.lineSilence
        return try WaitingLine(
            store: store, queue: queue, locks: locks, configuration: configuration, logger: logger)
    }

    package func strategyName(of item: String) -> StrategyName {
        settings.catalogue.item(item)?.strategy ?? settings.strategy
    }

    /// Whether such a cart may have to wait in a line.
    func isQueued(_ lines: [Line]) -> Bool { lines.contains { strategyName(of: $0.bucket.item) == .queued } }

    func json(_ reservation: Reservation) -> JSON {
        reservation.json(strategy: strategyName(of: reservation.lines.first?.bucket.item ?? ""))
    }

    /// An item as it stands; a problem when there is none.
    func snapshot(of id: String) async throws -> ItemSnapshot {
        guard let item = settings.catalogue.item(id) else { throw Problem(.noSuchResource) }
        return ItemSnapshot(
            item: item, strategy: strategyName(of: id), states: try await service.availability(of: id, limit: 10_000))
    }
}

/// The guarantee check, at most once in a while: it reads everything.
actor Auditor {
    private let service: ReservationService
    private var last: (report: AuditReport, at: Date)?
    private var lastTry: ContinuousClock.Instant?

    init(service: ReservationService) {
        self.service = service
    }

    /// A report of this moment.
    func audit() async throws -> (report: AuditReport, at: Date) {
        let result = (try await service.audit(), Date())
        last = result
        lastTry = .now
        return result
    }

    /// A report that may be some seconds old; `nil` when none can be had.
    func recent() async -> (report: AuditReport, at: Date)? {
        if let last, let lastTry, ContinuousClock.now - lastTry < .seconds(5) { return last }
        lastTry = .now
        return try? await audit()
    }
}
