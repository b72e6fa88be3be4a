import Logging
import RedisLocks
import ServiceLifecycle
import Synchronization

/// Lines in which requests wait for their turn, decided in batches by one owner for each line: ``Strategy/queued(_:)``.
///
/// ```swift
/// let line = try WaitingLine(store: store, queue: queue, locks: locks, logger: logger)
/// configuration.strategies["concert"] = .queued(line)
/// let service = try ReservationService(store: store, configuration: configuration, logger: logger)
/// try await ServiceGroup(services: [locks, line, service], logger: logger).run()
/// ```
///
/// A request is accepted when the store has written it down; then it has a number, and is decided once. Its order is that in
/// which it came to the queue. The owner of a line is elected by a distributed lock, and everything that it writes carries the
/// lock's fencing token: an owner that was paused past its lease is refused by the store. When an owner dies, another process
/// goes on behind the last batch that was committed, after ``Configuration/ownerTTL`` at the latest.
public final class WaitingLine: Service, Sendable {
    let store: any QueueingReservationStore
    let queue: any ReservationQueue
    let locks: RedisLocks
    let configuration: Configuration
    let observer: QueueObserver
    package let board: TicketBoard
    let intakes: [Intake]
    let now: @Sendable () -> ContinuousClock.Instant
    private let attendance: Mutex<Attendance>

    /// Makes the lines. Nothing moves before ``run()``.
    ///
    /// - Parameters:
    ///   - store: the same as the service's.
    ///   - queue: the same for all processes.
    ///   - locks: the client of the locks by which owners are elected.
    ///   - configuration: see ``Configuration``.
    ///   - logger: where it is told what happens to lines.
    /// - Throws: ``ReservationError/Code/invalidRequest(_:)`` for a configuration that makes no sense.
    public convenience init(
        store: any QueueingReservationStore, queue: any ReservationQueue, locks: RedisLocks,
        configuration: Configuration = Configuration(),
        logger: Logger = Logger(label: "reservations", factory: { _ in SwiftLogNoOpLogHandler() })
    ) throws(ReservationError) {
        try self.init(
            store: store, queue: queue, locks: locks, configuration: configuration, logger: logger,
            now: { ContinuousClock.now })
    }

    /// - Parameter now: by which it is judged who is silent, for tests.
    package init(
        store: any QueueingReservationStore, queue: any ReservationQueue, locks: RedisLocks,
        configuration: Configuration, logger: Logger, now: @escaping @Sendable () -> ContinuousClock.Instant
    ) throws(ReservationError) {
        try configuration.check()
        self.store = store
        self.queue = queue
        self.locks = locks
        self.configuration = configuration
        let (observer, board) = (QueueObserver(logger: logger), TicketBoard(partitions: configuration.partitions))
        (self.observer, self.board) = (observer, board)
        self.now = now
        attendance = Mutex(Attendance(at: now()))
        intakes = (0..<configuration.partitions).map {
            Intake(partition: $0, store: store, queue: queue, board: board, observer: observer)
        }
    }

    /// Serves those who wait in this process and, unless ``Configuration/ownsPartitions`` is off, decides on requests; until
    /// the task is cancelled or the service group shuts down. What waits then goes on waiting in the store.
    ///
    /// - Throws: ``ReservationError/Code/misconfigured`` when the store has another number of partitions. A store or a queue
    ///   that is away does not end it.
    public func run() async throws {
        board.note(served: try await prepared())
        guard let signals = board.open() else {
            throw ReservationError(.misconfigured, "The waiting line runs already: add it to one service group, once.")
        }
        defer { board.close() }
        await cancelWhenGracefulShutdown {
            await withDiscardingTaskGroup { group in
                for partition in 0..<self.configuration.partitions {
                    group.addTask { await self.listen(to: partition) }
                    group.addTask { await self.lookUp(in: partition, at: signals[partition]) }
                    if self.configuration.ownsPartitions {
                        group.addTask { await PartitionOwner(partition, of: self).run() }
                    }
                }
                // Once is enough of many processes, but who owns lines is there for them.
                if self.configuration.ownsPartitions { group.addTask { await self.measureLag() } }
                group.addTask { await self.watch() }
                group.addTask { await self.showPresence() }
            }
        }
    }

    /// The partitions, made if need be: tried until the store is there.
    private func prepared() async throws -> [Int64] {
        var attempts = 0
        while true {
            do throws(StoreError) {
                return try await store.preparePartitions(configuration.partitions)
            } catch {
                attempts += 1
                guard error.code == .busy || error.code == .unavailable else {
                    throw ReservationError(error, attempts: attempts, strategy: QueuedStrategy.name)
                }
                observer.trouble("The lines cannot be prepared yet", error)
                guard await RetryDelay(longest: .seconds(2)).wait(after: attempts) else { throw CancellationError() }
            }
        }
    }

    // MARK: Those who wait

    private func listen(to partition: Int) async {
        repeat {
            for await progress in await queue.announcements(of: partition) { board.note(progress, of: partition) }
            // Refused, which somebody may change.
        } while await pause(.seconds(30))
    }

    /// Looks up those whose number has come.
    private func lookUp(in partition: Int, at signals: AsyncStream<Void>) async {
        for await _ in signals {
            let due = board.due(in: partition)
            for start in stride(from: 0, to: due.count, by: Self.lookUpLimit) {
                await lookUp(Array(due[start..<min(start + Self.lookUpLimit, due.count)]), in: partition)
            }
            board.tellStandings(in: partition, interval: .seconds(1))
        }
    }

    private func lookUp(_ names: [RequestName], in partition: Int) async {
        do throws(StoreError) {
            for (name, request) in zip(names, try await store.requests(names)) {
                if let request, request.state == .waiting {
                    board.stillWaits(name, in: partition, number: request.number)
                } else {
                    // One that nobody knows any more was forgotten with its answer.
                    board.settle(
                        name, in: partition, number: request?.number, .decided(request?.state ?? .withdrawn))
                }
            }
        } catch {
            observer.trouble("Requests cannot be looked up", error)
        }
    }

    private static let lookUpLimit = 500

    /// Once a second: sends those away who have waited for too long, and looks at lines that should have moved. Announcements
    /// may get lost, and this is what that costs.
    private func watch() async {
        while await pause(.seconds(1)) {
            board.dismissLate(at: .now)
            presentSince()
            for partition in 0..<configuration.partitions where board.hasLate(in: partition) { board.signal(partition) }
            let silent = board.silentLines(for: .seconds(2))
            guard !silent.isEmpty else { continue }
            do throws(StoreError) {
                board.note(served: try await store.preparePartitions(configuration.partitions))
                for partition in silent { board.signal(partition) }
            } catch {
                observer.trouble("The lines cannot be looked at", error)
            }
        }
    }

    private func showPresence() async {
        guard let silence = configuration.silence else { return }
        while await pause(silence / 4) {
            for partition in 0..<configuration.partitions {
                let names = board.present(in: partition)
                for start in stride(from: 0, to: names.count, by: Self.lookUpLimit) {
                    await touch(Array(names[start..<min(start + Self.lookUpLimit, names.count)]), in: partition)
                }
            }
        }
    }

    func touch(_ names: [RequestName], in partition: Int) async {
        do throws(QueueError) {
            try await queue.touch(names, in: partition)
        } catch {
            observer.trouble("Presence cannot be noted", error)
        }
    }

    /// Since when this process has been there, without a gap in which nobody could have shown himself to it.
    @discardableResult
    package func presentSince() -> ContinuousClock.Instant {
        attendance.withLock { attendance in
            attendance.note(at: now(), gap: (configuration.silence ?? .seconds(60)) / 2)
            return attendance.since
        }
    }

    func pause(_ duration: Duration) async -> Bool {
        do {
            try await Task.sleep(for: duration)
            return true
        } catch {
            return false
        }
    }

    // MARK: For operators

    /// How far each line is behind, by its number: how many wait, and since when. Asks the store, cheaply: fit for every few
    /// seconds. Also when the line does not run in this process.
    ///
    /// - Throws: ``ReservationError/Code/unavailable``, ``ReservationError/Code/busy(attempts:strategy:)``.
    public func lag() async throws(ReservationError) -> [LineLag] {
        do throws(StoreError) {
            return try await store.lag()
        } catch {
            throw ReservationError(error, attempts: 1, strategy: QueuedStrategy.name)
        }
    }

    private func measureLag() async {
        while await pause(.seconds(5)) {
            do throws(StoreError) {
                observer.lags(try await store.lag())
            } catch {
                observer.trouble("How far the lines are behind cannot be seen", error)
            }
        }
    }

    // MARK: Intake

    /// The line of a cart: that of its first bucket's item, the same in every process.
    func partition(of cart: Cart) -> Int {
        let item = cart.buckets.first?.item ?? ""
        return Int(Fingerprint.digest(of: ["line", item]) % UInt128(configuration.partitions))
    }

    /// Whether ``run()`` is under way, and requests are accepted.
    public var isRunning: Bool { board.isOpen }

    func hasPartition(_ partition: Int) -> Bool {
        (0..<configuration.partitions).contains(partition)
    }

    func limits(for partition: Int) -> IntakeLimits {
        var waiting = configuration.maximumWaiting
        if let time = board.serviceTime(in: partition), time > .zero {
            waiting = min(waiting, max(1, Int(clamping: Int64(configuration.maximumWait / time))))
        }
        return IntakeLimits(waiting: waiting, perCaller: configuration.maximumWaitingPerCaller)
    }

    /// Writes a request down. Whoever waits for it in this process hears of it by the stream.
    ///
    /// - Parameter limit: until when, at most; then the stream ends with ``TicketNews/tooLate``.
    func enter(
        _ claim: Claim, until limit: ContinuousClock.Instant? = nil
    ) async throws(StoreError) -> (partition: Int, IntakeOutcome, AsyncStream<TicketNews>?) {
        guard board.isOpen else { throw StoreError(.unavailable, "The waiting line is not open.", attempts: 0) }
        let partition = partition(of: claim.cart)
        let (outcome, news) = try await intakes[partition].enter(claim, limits: limits(for: partition), until: limit)
        return (partition, outcome, news)
    }
}
