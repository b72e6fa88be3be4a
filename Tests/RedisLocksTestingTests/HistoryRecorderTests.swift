import RedisLocks
import RedisLocksTesting
import Testing

@Suite("Recording histories", .timeLimit(.minutes(1)))
struct HistoryRecorderTests {
    /// A recorder on the bed's clock.
    private func recorder(_ bed: LockTestBed, sink: (@Sendable (String) -> Void)? = nil) -> HistoryRecorder {
        HistoryRecorder(clock: HistoryClock(origin: bed.now) { bed.now }, sink: sink)
    }

    @Test("A lease that is renewed is recorded until its last deadline, and its release with its instants")
    func renewals() async throws {
        try await LockTestBed.with { bed in
            let lines = Recorder<String>()
            let recorder = recorder(bed) { lines.record($0) }
            let result = try await recorder.withLease(client: "a", names: ["job"]) {
                try await bed.locks.acquire("job", ttl: .seconds(10))
            } body: { lease, _ in
                await bed.advance(by: .seconds(25))
                return lease.deadline
            }
            let operation = try #require(recorder.history.operations.first)
            #expect(operation.token == bed.nodes[0].fence(of: "job"))
            #expect(operation.invoked == 0)
            #expect(operation.releaseInvoked == 25_000_000_000)
            #expect(operation.releaseReturned != nil)
            #expect(operation.deadline ?? 0 > 25_000_000_000)
            #expect(operation.deadline == result.map { recorder.clock.nanoseconds($0) })
            #expect(operation.ended == nil)
            #expect(lines.all.count > 5, "each renewal")
            #expect(try LockHistory(lines: lines.all) == recorder.history)
        }
    }

    @Test("A loss is recorded when the holder is told, and the next holder passes the checks")
    func loss() async throws {
        try await LockTestBed.with { bed in
            let recorder = recorder(bed)
            _ = try await recorder.withLease(client: "a", names: ["job"]) {
                try await bed.locks.acquire("job", ttl: .seconds(10))
            } body: { lease, _ in
                await bed.loseLease("job", as: .expired)
                _ = await lease.lost()
            }
            _ = try await recorder.withLease(client: "b", names: ["job"]) {
                await bed.advance(by: .seconds(10))
                return try await bed.locks.acquire("job", ttl: .seconds(10))
            } body: { _, _ in
            }
            let operations = recorder.history.operations
            try #require(operations.count == 2)
            #expect(operations[0].ended != nil)
            #expect(operations[0].releaseReturned == nil, "it was lost by then")
            #expect(operations[1].ended == nil)
            #expect(recorder.history.check(inside: true) == [])
        }
    }

    @Test("An acquire that finds the name taken, and one that fails, are recorded as such")
    func failures() async throws {
        try await LockTestBed.with { bed in
            let recorder = recorder(bed)
            let nothing = try await recorder.withLease(client: "a", names: ["job"]) {
                nil
            } body: { _, _ in
                1
            }
            #expect(nothing == nil)
            await #expect(throws: CancellationError.self) {
                _ = try await recorder.withLease(client: "a", names: ["job"]) {
                    throw CancellationError()
                } body: { _, _ in
                    1
                }
            }
            #expect(recorder.history.operations.map(\.outcome) == [.refused, .unknown])
            #expect(recorder.history.operations.allSatisfy { $0.returned != nil })
        }
    }

    @Test("Recorders of several processes write lines that make one history")
    func merged() throws {
        let clock = HistoryClock(now: { 5 }, nanoseconds: { _ in 0 })
        let lines = Recorder<String>()
        let recorders = [0, 1000].map { first in
            HistoryRecorder(clock: clock, firstID: first) { lines.record($0) }
        }
        for (index, recorder) in recorders.enumerated() {
            let id = recorder.begin(client: "\(index)", names: ["job"])
            recorder.granted(id, token: Int64(index), deadline: 100)
            recorder.store(key: "k", client: "\(index)", operation: id, token: Int64(index), .claim, accepted: true)
            recorder.renewed(id, deadline: 200)
            recorder.releaseInvoked(id)
            recorder.lost(id)
            recorder.lost(id)
        }
        // Killed before it heard the answer.
        let open = recorders[1].begin(client: "1", names: ["job"])
        let history = try LockHistory(lines: lines.all)
        #expect(history.operations == recorders.flatMap(\.history.operations))
        #expect(history.storeEvents == recorders.flatMap(\.history.storeEvents))
        #expect(open == 1001)
        #expect(history.operations.last?.outcome == .unknown)
        #expect(history.operations.first?.deadline == 200)
    }

    @Test("Any number of tasks record at once")
    func concurrent() async throws {
        let recorder = HistoryRecorder()
        await withTaskGroup(of: Void.self) { group in
            for task in 0..<8 {
                group.addTask {
                    for token in 0..<200 {
                        let id = recorder.begin(client: "\(task)", names: ["\(task)"])
                        recorder.granted(id, token: Int64(token), deadline: .now + .seconds(10))
                        recorder.releaseInvoked(id)
                    }
                }
            }
        }
        #expect(recorder.history.operations.count == 1600)
        #expect(Set(recorder.history.operations.map(\.id)).count == 1600)
        #expect(recorder.history.check(inside: true) == [])
    }

    @Test("The clock of the system is that of leases")
    func systemClock() {
        let clock = HistoryClock.system
        let before = clock.now
        let instant = ContinuousClock.now
        let after = clock.now
        let exactness: Int64 = 1_000_000
        #expect((before - exactness...after + exactness).contains(clock.nanoseconds(instant)))
        #expect(clock.nanoseconds(instant + .seconds(3)) - clock.nanoseconds(instant) == 3_000_000_000)
        #expect(clock.nanoseconds(instant - .milliseconds(1)) - clock.nanoseconds(instant) == -1_000_000)
    }
}
