import RedisLocks

/// A server of a simulation: the in-memory Redis, with a clock, a disk and a process that may stand still or die.
///
/// Guard: a simulation and all of its parts are used on one reactor, in one job.
final class SimulatedServer: @unchecked Sendable {
    let index: Int
    let label: String
    let plan: SimulationPlan.Server
    var redis: InMemoryRedis
    var clock: SimulatedClock
    private(set) var isDown = false
    private(set) var starts = 0
    var pausedUntil: Int64 = 0
    /// What has arrived while it stood still.
    var backlog: [Int32] = []
    var outOfMemoryUntil: Int64 = 0
    var busyUntil: Int64 = 0
    var loadingUntil: Int64 = 0
    /// Bits of the scripts that it knows.
    var scripts: UInt8 = 0b1111

    /// What is on the disk for certain, and since when.
    private var written: InMemoryRedis
    private var lastWrite: Int64 = 0
    /// A backup from the beginning or a moment in between.
    private var backup: InMemoryRedis

    private static let epoch: Int64 = 1_767_225_600_000_000_000

    init(index: Int, plan: SimulationPlan.Server) {
        self.index = index
        self.plan = plan
        label = "sim://\(index)"
        clock = SimulatedClock(offset: Self.epoch + plan.offset, fastness: plan.fastness)
        redis = InMemoryRedis(runID: Self.runID(index, 0))
        if !plan.isNew { _ = redis.execute(.initialize(isForced: true), at: WallTime(microseconds: 0)) }
        written = redis
        backup = redis
    }

    private static func runID(_ server: Int, _ start: Int) -> [UInt8] {
        let digits = Array(String(server * 1000 + start).utf8)
        return [UInt8](repeating: UInt8(ascii: "0"), count: 40 - digits.count) + digits
    }

    func wall(_ now: Int64) -> WallTime {
        WallTime(microseconds: clock.reading(at: now) / 1000)
    }

    func isPaused(_ now: Int64) -> Bool { pausedUntil > now }

    func execute(_ request: NodeRequest, at now: Int64) -> NodeResponse {
        if plan.persistence == .everySecond, now - lastWrite >= 1_000_000_000 {
            // What was written until now has reached the disk by the time that anything is lost.
            written = redis
            lastWrite = now
        }
        return redis.execute(request, at: wall(now))
    }

    func takeBackup() { backup = redis }

    // MARK: Death and birth

    enum Loss {
        case byPersistence, everything, toBackup
    }

    /// What was in memory is gone; what comes back is decided now.
    func crash(_ loss: Loss, at now: Int64) {
        isDown = true
        pausedUntil = 0
        backlog = []
        switch loss {
        case .toBackup: redis = backup
        case .everything: redis.flush()
        case .byPersistence:
            switch plan.persistence {
            case .always: break
            case .everySecond: if now - lastWrite < 1_000_000_000 { redis = written }
            case .none: redis.flush()
            }
        }
    }

    func start(at now: Int64) {
        isDown = false
        starts += 1
        redis.runID = Self.runID(index, starts)
        redis.started = wall(now)
        written = redis
        lastWrite = now
        scripts = 0
    }
}
