import RedisLocks
import RedisLocksTesting
import ReservationStoreConformance
import Reservations
import Testing

/// A check is worth something if what is broken does not pass it.
@Suite("Broken variants are caught", .timeLimit(.minutes(2)))
struct BrokenVariantTests {
    struct BrokenStore: Sendable, CustomTestStringConvertible {
        let testDescription: String
        let check: ConformanceCheck
        let strategy: TestedStrategy
        let make: @Sendable (InMemoryReservationStore) -> any ReservationStore

        init(
            _ name: String, _ check: ConformanceCheck, _ strategy: TestedStrategy = .atomic,
            _ make: @escaping @Sendable (InMemoryReservationStore) -> any ReservationStore
        ) {
            (testDescription, self.check, self.strategy, self.make) = (name, check, strategy, make)
        }
    }

    static let catalogue: [BrokenStore] = [
        BrokenStore("F1: check and write apart", StoreConformance.checkThenWrite) { ChecksThenWrites(memory: $0) },
        BrokenStore("F6: locked while paying", StoreConformance.paymentUnderLock) { LocksWhilePaying($0) },
        BrokenStore("F7: own holds as those of others", StoreConformance.ownHold) { CountsOwnAsOthers(inner: $0) },
        BrokenStore("F8: cancel frees nothing", StoreConformance.cancelFrees) { CancelsWithoutFreeing(memory: $0) },
        BrokenStore("F9: nothing expires", StoreConformance.expiredFrees) { NeverExpires(inner: $0) },
        BrokenStore("F9: overdue holds count", StoreConformance.expiredFrees) { CountsOverdueHolds(memory: $0) },
        BrokenStore("F10: a repetition is new", StoreConformance.paidThenLost) { ForgetsRequests(inner: $0) },
        BrokenStore("F10: a repetition is refused", StoreConformance.paidThenLost) { RefusesRepetition(inner: $0) },
        BrokenStore("F10: late in silence", StoreConformance.latePayment) { ConfirmsLateInSilence(memory: $0) },
        BrokenStore("F10: late twice", StoreConformance.latePayment) { ReplacesEachTime(inner: $0) },
        BrokenStore("F11: fences ignored", StoreConformance.staleHolder, .locked) { IgnoresFences(inner: $0) },
        BrokenStore("F13: no limit", StoreConformance.hoarding) { HasNoHoldLimit(inner: $0) },
        BrokenStore("F13: limit counted apart", StoreConformance.hoarding) { CountsHoldsApart(memory: $0) },
        BrokenStore("F14: sums written", StoreConformance.lostUpdates) { ReadsThenWritesSums(memory: $0) },
        BrokenStore("F15: record apart, and a crash", StoreConformance.recordApart) { RecordsApart($0, dies: true) },
        BrokenStore("A failure now and then", StoreConformance.histories[0]) { FailsNowAndThen(inner: $0) },
        BrokenStore("F15: record apart, and a double click", StoreConformance.recordApart) {
            RecordsApart($0, dies: false)
        },
    ]

    static let contract: [BrokenStore] = [
        named("A bucket that stands twice in a cart oversells nothing") { ChecksLineByLine(memory: $0) },
        named("An old version is refused, and changes nothing") { IgnoresVersions(inner: $0) },
        named("A stale token is refused, and changes nothing") { IgnoresFences(inner: $0) },
        named("A stale token is refused, and changes nothing") { RaisesFencesInVain(memory: $0) },
        named("A key of a refused request may be used again") { RecordsRefusals(memory: $0) },
        named("Somebody else's reservation is not there") { IgnoresOwners(inner: $0) },
        named("Two spellings of one letter are two items and two holders") { ComparesTexts(inner: $0) },
        named("atomic: a claim that is short holds nothing, and names all that is short") { HoldsInPart(memory: $0) },
        named("A confirmation sells, a repeated one answers the same, a return gives back") {
            KeepsNoLedger(memory: $0)
        },
        named("Sweepers at once end each hold once") { ExpiresTwice(memory: $0) },
        named("A late confirmation takes the units again, once") { ReplacesEachTime(inner: $0) },
        named("atomic: 32 claims on 10 units: exactly 10") { ChecksThenWrites(memory: $0) },
        named("atomic: a holder's simultaneous claims keep the limit") { CountsHoldsApart(memory: $0) },
        named("atomic: 16 claims with one key: one reservation") { RecordsApart($0, dies: false) },
        named("atomic: a shortage tells own holds from those of others") { CountsOwnAsOthers(inner: $0) },
    ]

    private static func named(
        _ name: String, _ make: @escaping @Sendable (InMemoryReservationStore) -> any ReservationStore
    ) -> BrokenStore {
        let missing = ConformanceCheck(name) { _ in throw CancellationError() }
        return BrokenStore(name, StoreConformance.storeChecks.first { $0.name == name } ?? missing, .atomic, make)
    }

    @Test("A broken store does not pass", arguments: catalogue + contract)
    func brokenStore(_ broken: BrokenStore) async {
        await #expect(throws: ContractViolation.self) {
            try await withRig(MemoryHarness(broken.make), broken.strategy) { try await broken.check.run($0) }
        }
    }

    struct BrokenStrategy: Sendable, CustomTestStringConvertible {
        let testDescription: String
        let check: ConformanceCheck
        let make: @Sendable (RedisLocks) -> any ReservationStrategy
    }

    static let strategies: [BrokenStrategy] = [
        BrokenStrategy(testDescription: "F2: in parts", check: StoreConformance.twiceInOneCart) { _ in AsksInParts() },
        BrokenStrategy(testDescription: "F3: holder in the name", check: StoreConformance.holderInLockName) {
            LocksHolders(locks: $0)
        },
        BrokenStrategy(testDescription: "F4: released early", check: StoreConformance.releasedBeforeCommit) {
            ReleasesEarly(locks: $0)
        },
        BrokenStrategy(testDescription: "F5: one by one", check: StoreConformance.partialLocks) {
            LocksOneByOne(locks: $0)
        },
        BrokenStrategy(testDescription: "F12: waits for the gone", check: StoreConformance.waiterWalksAway) { _ in
            WaitsForTheGone()
        },
    ]

    @Test("A broken strategy does not pass", arguments: strategies)
    func brokenStrategy(_ broken: BrokenStrategy) async {
        await #expect(throws: ContractViolation.self) {
            try await withRig(MemoryHarness(), { Strategy(broken.make($0.locks)) }) { rig in
                var rig = rig
                rig.patience = .seconds(1)
                try await broken.check.run(rig)
            }
        }
    }

    @Test("Random histories find lost updates, keys apart from effects, and cancellations that free nothing")
    func histories() async {
        let broken: [@Sendable (InMemoryReservationStore) -> any ReservationStore] = [
            { ReadsThenWritesSums(memory: $0) }, { ForgetsRequests(inner: $0) }, { CancelsWithoutFreeing(memory: $0) },
            { RecordsApart($0, dies: true) }, { ExpiresTwice(memory: $0) },
        ]
        for make in broken {
            await #expect(throws: ContractViolation.self) {
                for seed in UInt64(1)...30 {
                    try await withRig(MemoryHarness(make)) { rig in
                        var rig = rig
                        rig.seed = seed
                        for check in StoreConformance.histories { try await check.run(rig) }
                    }
                }
            }
        }
    }
}
