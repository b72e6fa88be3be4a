import Logging
import Metrics
import Synchronization
import Tracing

/// Logs, metrics and spans. Called in the tasks of callers, or by a task of its own for what the engine reports; never on
/// the Reactor, for log handlers and metrics are the user's code.
final class LockObserver: Sendable {
    private let logger: Logger
    private let metrics = LockMetrics()
    private let events: AsyncStream<EngineEvent>.Continuation

    /// Events that are kept while the log handler is slow; older ones are dropped.
    private static let backlog = 1024

    init(logger: Logger) {
        self.logger = logger
        let (stream, continuation) = AsyncStream.makeStream(
            of: EngineEvent.self, bufferingPolicy: .bufferingNewest(Self.backlog))
        events = continuation
        // Ends with `finish()`, which the client's end calls; holds nothing that could keep the client alive. Detached: what
        // happens on the client's account is not part of the request, or under the locks, in which the client was made.
        Task.detached { [logger, metrics] in
            for await event in stream { Self.tell(event, logger, metrics) }
        }
    }

    func post(_ event: EngineEvent) {
        events.yield(event)
    }

    func finish() {
        events.finish()
    }

    func log(_ level: Logger.Level, _ message: Logger.Message, _ metadata: Logger.Metadata) {
        logger.log(level: level, message, metadata: metadata)
    }

    func acquiring(_ names: [String], _ acquire: () async -> AcquireResult) async -> AcquireResult {
        await withSpan("redis-locks acquire", ofKind: .client) { span in
            if span.isRecording { span.attributes["redis_locks.names"] = names.joined(separator: ",") }
            let start = ContinuousClock.now
            let result = await acquire()
            metrics.acquireTime.recordNanoseconds((ContinuousClock.now - start).nanoseconds)
            switch result {
            case .granted(let grant):
                metrics.acquired.increment()
                if grant.confirmRounds > 0 { metrics.confirmRounds.increment(by: grant.confirmRounds) }
                for node in grant.nodes { metrics.record(node) }
                if span.isRecording {
                    span.attributes["redis_locks.fencing_token"] = grant.state.token
                    span.attributes["redis_locks.attempts"] = grant.attempts
                }
                logger.debug(
                    "Lock acquired",
                    metadata: [
                        "names": .array(names.map { .string($0) }), "fencing_token": "\(grant.state.token)",
                        "attempts": "\(grant.attempts)", "waited": "\(grant.waited.inSeconds)",
                    ])
            case .failed(let error):
                metrics.failed(error.code).increment()
                for report in error.nodes { metrics.record(NodeTiming(report: report, latency: nil)) }
                if span.isRecording {
                    span.recordError(error)
                    span.setStatus(SpanStatus(code: .error, message: error.code.description))
                }
                logger.debug(
                    "Lock not acquired",
                    metadata: [
                        "names": .array(names.map { .string($0) }), "code": "\(error.code)", "error": "\(error)",
                    ])
            }
            return result
        }
    }

    func released(_ names: [String], _ result: ReleaseResult, held: Duration) {
        let metadata: Logger.Metadata = ["names": .array(names.map { .string($0) })]
        metrics.holdTime.recordNanoseconds(held.nanoseconds)
        switch result {
        case .released:
            metrics.released.increment()
            logger.debug("Lock released", metadata: metadata)
        case .unknown(let nodes):
            metrics.releaseUnknown.increment()
            logger.warning(
                "Lock release not confirmed: it expires by itself",
                metadata: metadata.merging(["nodes": .array(nodes.map { "\($0)" })]) { $1 })
        case .lost(.taken):
            logger.warning("Lock found taken at its release", metadata: metadata)
        case .lost, .notHeld: break
        }
    }

    private static func tell(_ event: EngineEvent, _ logger: Logger, _ metrics: LockMetrics) {
        switch event {
        case .node(let node, .connected):
            logger.info("Lock node connected", metadata: ["node": "\(node)"])
        case .node(let node, .disconnected(let reason)):
            logger.warning("Lock node disconnected", metadata: ["node": "\(node)", "reason": "\(reason)"])
        case .node(let node, .refused(let reason)):
            logger.error("Lock node refused", metadata: ["node": "\(node)", "reason": "\(reason)"])
        case .node(let node, .caveat(let caveat)):
            logger.notice("Lock node with a caveat", metadata: ["node": "\(node)", "caveat": "\(caveat)"])
        case .renewed(let names, let lag, let took):
            metrics.renewed.increment()
            metrics.renewalLag.recordNanoseconds(lag.nanoseconds)
            metrics.renewalTime.recordNanoseconds(took.nanoseconds)
            logger.trace("Lease renewed", metadata: ["names": .array(names.map { .string($0) })])
        case .renewalFailed(let names, let nodes):
            metrics.renewalFailed.increment()
            for report in nodes { metrics.record(NodeTiming(report: report, latency: nil)) }
            logger.warning(
                "Lease renewal failed; trying again until the deadline",
                metadata: ["names": .array(names.map { .string($0) }), "nodes": .array(nodes.map { "\($0)" })])
        case .leaseLost(let names, let reason):
            metrics.lost(reason).increment()
            logger.warning(
                "Lease lost", metadata: ["names": .array(names.map { .string($0) }), "reason": "\(reason)"])
        case .replanted(let names, let node):
            metrics.replanted(at: node).increment()
            logger.info(
                "Lease planted anew on a node that did not have it",
                metadata: ["names": .array(names.map { .string($0) }), "node": "\(node)"])
        case .clockStepped(let node, let step):
            metrics.clockStepped(at: node).increment()
            logger.warning(
                "A lock node's clock jumped, or this machine's did",
                metadata: ["node": "\(node)", "by": "\(step.inSeconds)"])
        case .leaseAbandoned(let names):
            logger.error(
                "Lease thrown away without a release: a mistake in the program; it was released now",
                metadata: ["names": .array(names.map { .string($0) })])
        }
    }
}

extension Duration {
    /// For swift-metrics.
    var nanoseconds: Int64 {
        let (seconds, attoseconds) = components
        return seconds.multipliedReportingOverflow(by: 1_000_000_000).partialValue &+ attoseconds / 1_000_000_000
    }
}
