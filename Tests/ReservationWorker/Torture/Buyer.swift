import Foundation
import RedisLocks
import ReservationStoreConformance
import Reservations
import ReservationsPostgreSQL
import ReservationsSQLite
import TestSupport

/// A process that buys until it is told to end or is killed, and says what it was answered:
///
/// ```
/// asking HOLDER              before a purchase
/// held HOLDER ID             and then confirmed, cancelled or left
/// confirmed HOLDER ID
/// cancelled HOLDER ID
/// refused HOLDER CODE        a final no
/// retry CODE                 one that may be repeated, and was
/// decided LINE TOKEN FROM    it has decided on a batch of its line that was read from there
/// rewinding LINE TOKEN       it is about to set its line back
/// inside                     it has a lock, and is about to write under it
/// stale                      a row has refused a write, for a greater token was there
/// broken SENTENCE            something that must never be
/// ```
///
/// What a holder wants follows from his name: whoever asks again for him, asks for the same.
struct Buyer {
    private let name: String
    private let items: Int
    private let again: String?
    private let store: any ReservationStore
    private let service: ReservationService
    private let line: LineProcess?

    init(_ arguments: ArraySlice<String>) async throws {
        let options = try Options(arguments)
        name = options["name"] ?? "buyer"
        items = try options.number("items", 1)
        again = options["again"]
        if options["strategy"] == "queued" {
            let process = try await LineProcess(
                store: options["store"] ?? "", redis: options["redis"] ?? "",
                mutant: options["mutant"].flatMap(Torture.Mutant.init))
            (store, service, line) = (process.store, process.service, process)
            return
        }
        line = nil
        store = LateStore(
            inner: try await Self.store(at: options["store"] ?? ""),
            mutant: options["mutant"].flatMap(Torture.Mutant.init))
        var configuration = ReservationService.Configuration()
        configuration.limits.minimumHold = .seconds(1)
        configuration.limits.liveHoldsPerHolder = 2
        configuration.strategy = try Self.strategy(options)
        service = try ReservationService(store: store, configuration: configuration)
    }

    private static func store(at place: String) async throws -> any ReservationStore {
        guard place.hasPrefix("postgresql:") else { return try await SQLiteReservationStore.open(place) }
        var pool = PostgreSQLReservationStore.Configuration()
        pool.maximumConnections = 2
        return try PostgreSQLReservationStore(url: place, configuration: pool)
    }

    private static func strategy(_ options: Options) throws -> Strategy {
        var lock = Strategy.LockOptions()
        lock.ttl = TortureTimes.ttl
        lock.wait = .upTo(.seconds(3))
        switch options["strategy"] {
        case "optimistic": return .optimistic()
        case "pessimistic": return .pessimistic()
        case "locked", "fallback":
            lock.whenUnavailable = options["strategy"] == "locked" ? .failClosed : .fallback
            var configuration = RedisLocks.Configuration()
            // As long as the torture's leases, so that a request to a paused server does not eat one up.
            configuration.ttl = TortureTimes.ttl
            return .locked(
                try RedisLocks(.node(options["redis"] ?? ""), configuration: configuration), options: lock)
        default: return .atomic
        }
    }

    /// Two buyers at a time in each process; more where they wait in lines.
    func run() async throws {
        guard let line else { return await buy(lanes: 2) }
        try await line.running { await buy(lanes: 8) }
    }

    private func buy(lanes: Int) async {
        await withTaskGroup(of: Void.self) { group in
            for lane in 0..<lanes {
                group.addTask {
                    if lane == 0, let again { await purchase(again) }
                    var number = 0
                    while !Parent.wantsAnEnd {
                        await purchase("\(name).\(lane).\(number)")
                        number += 1
                    }
                }
            }
        }
    }

    private func purchase(_ holder: String) async {
        say("asking \(holder)")
        var dice = SeededGenerator(seed: UInt64(truncatingIfNeeded: Fingerprint.digest(of: [holder])))
        let lines = (0..<Int.random(in: 1...3, using: &dice)).map { _ in
            Line(
                .counted("item \(Int.random(in: 0..<items, using: &dice))"), quantity: .random(in: 1...2, using: &dice))
        }
        let isTwice = Int.random(in: 0..<6, using: &dice) == 0
        let fate = Int.random(in: 0..<10, using: &dice)
        guard let hold = await reserve(lines, holder, ttl: fate < 8 ? .seconds(300) : .seconds(1), isTwice: isTwice)
        else { return }
        switch fate {
        case 0..<5:
            await finish(holder, "confirmed") { () async throws(ReservationError) in
                try await service.confirm(hold.id, for: holder, key: "confirm")
            }
        case 5..<8:
            await finish(holder, "cancelled") { () async throws(ReservationError) in
                try await service.cancel(hold.id, for: holder, key: "cancel")
            }
        default: break
        }
        if fate == 9 { _ = try? await service.sweep() }
    }

    /// A buyer who clicks twice gets one reservation.
    private func reserve(_ lines: [Line], _ holder: String, ttl: Duration, isTwice: Bool) async -> Reservation? {
        let ask = { @Sendable () async -> Reservation? in
            await finish(holder, "held") { () async throws(ReservationError) in
                try await service.reserve(lines, for: holder, ttl: ttl, key: "reserve")
            }
        }
        guard isTwice else { return await ask() }
        async let first = ask()
        async let second = ask()
        let both = await [first, second].compactMap { $0 }
        if Set(both.map(\.id)).count > 1 { say("broken \(holder) has two reservations") }
        return both.first
    }

    /// Asks until there is an answer, with one key.
    @discardableResult
    private func finish(
        _ holder: String, _ word: String, _ ask: @Sendable () async throws(ReservationError) -> Reservation
    ) async -> Reservation? {
        while true {
            do throws(ReservationError) {
                let reservation = try await ask()
                say("\(word) \(holder) \(reservation.id)")
                return reservation
            } catch {
                guard error.isRetryable || error.code.name == "busy", error.code.name != "out-of-stock" else {
                    say("refused \(holder) \(error.code.name)" + (error.code == .failed ? " \(error.message)" : ""))
                    return nil
                }
                say("retry \(error.code.name)")
                try? await Task.sleep(for: .milliseconds(.random(in: 10...80)))  // sleep: the pace of asking again
            }
        }
    }
}

/// How long things take in the torture.
enum TortureTimes {
    static let ttl = Duration.milliseconds(700)
    /// Longer than a lease.
    static let pause = Duration.milliseconds(1_100)
}

/// A store whose claims under a lock are on their way for a while, and cannot be called back: as though each had been sent
/// just before its process stood still.
private final class LateStore: StoreWrapper {
    let inner: any ReservationStore
    /// A mistake that the torture must find.
    private let mutant: Torture.Mutant?

    init(inner: any ReservationStore, mutant: Torture.Mutant?) {
        (self.inner, self.mutant) = (inner, mutant)
    }

    func resolve(_ resolution: Resolution) async throws(StoreError) -> ResolutionOutcome {
        if mutant == .forgetful, Int.random(in: 0..<20) == 0 { return .notFound }
        return try await inner.resolve(resolution)
    }

    func claim(_ claim: Claim, by rule: ClaimRule) async throws(StoreError) -> ClaimOutcome {
        if mutant == .failing, Int.random(in: 0..<20) == 0 { throw StoreError(.failed, "On purpose.") }
        guard case .fenced = rule else { return try await inner.claim(claim, by: rule) }
        let result = await Task { () -> Result<ClaimOutcome, StoreError> in
            say("inside")
            try? await Task.sleep(for: .milliseconds(.random(in: 5...25)))  // sleep: a slow critical section
            do throws(StoreError) {
                return .success(try await inner.claim(claim, by: rule))
            } catch {
                return .failure(error)
            }
        }.value
        if case .success(.staleFence) = result { say("stale") }
        return try result.get()
    }
}
