import Reservations
import ReservationsPostgreSQL
import Synchronization
import TestSupport
import Testing

/// The connection breaks when a request was sent and nobody knows what became of it.
@Suite("Answers that get lost", .timeLimit(.minutes(3)))
struct LostAnswerTests {
    enum Step: String, CaseIterable, Sendable {
        case reserve, confirm, cancel

        var function: String { self == .reserve ? "FROM claim(" : "FROM resolve(" }

        /// Always with the same key.
        func perform(_ service: ReservationService, _ id: ReservationID?) async throws -> Reservation {
            switch self {
            case .reserve: return try await service.reserve([Line(.counted("shirt"))], for: "ann", key: "reserve")
            case .confirm: return try await service.confirm(try #require(id), for: "ann", key: "confirm")
            case .cancel: return try await service.cancel(try #require(id), for: "ann", key: "cancel")
            }
        }

        var counts: [Int] { [self == .reserve ? 1 : 0, self == .confirm ? 1 : 0] }
    }

    private func withProxy(
        _ change: (inout PostgreSQLReservationStore.Configuration) -> Void = { _ in },
        _ body: (FaultProxy, PostgreSQLReservationStore) async throws -> Void
    ) async throws {
        let cluster = try await PostgreSQLTestCluster.shared.value
        try await FaultProxy.with(to: cluster.port, speaking: .postgreSQL) { proxy in
            let url = "postgresql://postgres@127.0.0.1:\(proxy.port)/postgres"
            try await withStore(url: url, change) { store in
                try await stock(store, 5)
                try await body(proxy, store)
            }
        }
    }

    /// One booking, in the state that the step leaves, and none besides.
    private func expectOne(_ step: Step, _ answer: Reservation, _ store: PostgreSQLReservationStore) async throws {
        let states = try await store.states(of: [.counted("shirt")])
        #expect(states.flatMap { [$0.held, $0.sold] } == step.counts)
        let entries = try await store.ledger(ofItem: "shirt", after: 0, limit: 100).filter { $0.kind != .stock }
        #expect(entries.map(\.kind.rawValue) == (step == .reserve ? ["hold"] : ["hold", step.rawValue]))
        #expect(entries.allSatisfy { $0.reservation == answer.id })
        #expect(try await store.reservation(answer.id, holder: "ann") == answer)
        let report = try await store.audit(grace: .seconds(60))
        #expect(report.isClean)
    }

    /// The connection is cut before the server has got the request, or after it has answered.
    @Test(
        "a step whose connection is cut once is asked again by itself, and done once",
        arguments: Step.allCases, [FaultProxy.Direction.requests, .replies])
    func cutOnce(step: Step, direction: FaultProxy.Direction) async throws {
        try await withProxy { proxy, store in
            let service = try ReservationService(store: store)
            let id = step == .reserve ? nil : try await Step.reserve.perform(service, nil).id
            let isDue = Once()
            proxy.set(direction) { request in
                guard request.arguments.contains(where: { $0.contains(step.function) }), isDue.take() else {
                    return .pass
                }
                return .cut
            }
            let answer = try await step.perform(service, id)
            #expect(!isDue.take(), "Nothing was cut.")
            try await expectOne(step, answer, store)
        }
    }

    @Test(
        "a step whose connections are all cut has an unknown outcome, and its key finds the one booking later",
        arguments: Step.allCases, [FaultProxy.Direction.requests, .replies])
    func cutAlways(step: Step, direction: FaultProxy.Direction) async throws {
        try await withProxy { proxy, store in
            let service = try ReservationService(store: store)
            let id = step == .reserve ? nil : try await Step.reserve.perform(service, nil).id
            proxy.set(direction) { request in
                request.arguments.contains { $0.contains(step.function) } ? .cut : .pass
            }
            let error = await #expect(throws: ReservationError.self) { try await step.perform(service, id) }
            #expect(error?.code == .outcomeUnknown)
            #expect(error?.isRetryable == true)
            proxy.heal()
            let answers = [try await step.perform(service, id), try await step.perform(service, id)]
            #expect(Set(answers.map(\.id)).count == 1)
            try await expectOne(step, answers[0], store)
        }
    }

    @Test("claims that had been committed when the line broke are found done")
    func foundDone() async throws {
        try await withProxy { proxy, store in
            let claims = (0..<4).map { claim(key: "click", by: "buyer \($0)") }
            proxy.set(.replies) { request in
                request.arguments.contains { $0.contains("FROM claim(") } ? .hold : .pass
            }
            let tasks = claims.map { claim in Task { try await store.claim(claim, by: .atomic) } }
            try await proxy.waitForHeld(.replies, count: 4)
            proxy.set(.replies, .pass)
            proxy.cut()
            for task in tasks { try await expectDoubt(task) }
            for claim in claims {
                guard case .replayed(let found) = try await store.claim(claim, by: .atomic) else {
                    Issue.record("What was committed is not found.")
                    return
                }
                #expect(found.id == claim.id)
            }
            let states = try await store.states(of: [.counted("shirt")])
            #expect(states.map(\.held) == [4])
        }
    }

    @Test("claims that waited for a row when the server died are in doubt, and found not done")
    func foundUndone() async throws {
        try await PostgreSQLTestCluster.with { cluster in
            try await withStore(url: cluster.url, { $0.lockTimeout = .seconds(14) }) { store in
                try await stock(store, 100)
                let claims = (0..<5).map { claim(key: "click", by: "buyer \($0)") }
                let tasks = Mutex<[Task<ClaimOutcome, any Error>]>([])
                // The row is held, so that none of them can have been answered.
                let held = await #expect(throws: DatabaseError.self) {
                    try await store.client.withTransaction { (transaction) async throws(DatabaseError) in
                        _ = try await transaction.run("SELECT FROM bucket FOR NO KEY UPDATE")
                        tasks.withLock {
                            $0 = claims.map { claim in Task { try await store.claim(claim, by: .atomic) } }
                        }
                        try await expectWaiters(claims.count, store)
                        #expect(throws: Never.self) { try cluster.restart() }
                        _ = try await transaction.run("SELECT 1")
                    }
                }
                #expect(held?.code == .connectionLost)
                for task in tasks.withLock({ $0 }) { try await expectDoubt(task) }
                for claim in claims {
                    guard case .held = try await store.claim(claim, by: .atomic) else {
                        Issue.record("What was never done is found done.")
                        return
                    }
                }
                let states = try await store.states(of: [.counted("shirt")])
                #expect(states.map(\.held) == [claims.count])
            }
        }
    }

    private func expectDoubt(_ task: Task<ClaimOutcome, any Error>) async throws {
        let error = await #expect(throws: StoreError.self) { try await task.value }
        #expect(error?.code == .unavailable)
        #expect(error?.effect == .unknown)
    }

    /// True once.
    private final class Once: Sendable {
        private let isTaken = Mutex(false)

        func take() -> Bool {
            isTaken.withLock { taken in
                defer { taken = true }
                return !taken
            }
        }
    }
}
