import RedisLocks
import ReservationStoreConformance
import Reservations
import Synchronization

extension ReservationStore {
    func ask(_ claim: Claim, by rule: ClaimRule) async -> StrategyResult {
        do throws(StoreError) {
            return StrategyResult(.success(try await self.claim(claim, by: rule)), attempts: 1)
        } catch {
            return StrategyResult(.failure(error), attempts: 1)
        }
    }
}

private func failed(_ message: String) -> StrategyResult {
    StrategyResult(.failure(StoreError(.busy, message)), attempts: 1)
}

/// F2: asks for the same item several times, in parts.
struct AsksInParts: ReservationStrategy {
    let name = "in parts"

    func claim(_ claim: Claim, in store: any ReservationStore) async -> StrategyResult {
        var last = failed("Nothing was asked for.")
        for line in claim.cart.lines {
            for quantity in [line.quantity / 2, line.quantity - line.quantity / 2] where quantity > 0 {
                let part = Claim(
                    id: .make(), holder: claim.holder, cart: Cart(trusted: [Line(line.bucket, quantity: quantity)]),
                    ttl: claim.ttl, totalHold: claim.totalHold, maximumLiveHolds: claim.maximumLiveHolds, request: nil)
                last = await store.ask(part, by: .atomic)
                guard case .success(.held) = last.outcome else { return last }
            }
        }
        return last
    }
}

/// F3: a lock for each holder keeps nobody apart.
struct LocksHolders: ReservationStrategy {
    let name = "holder in the name"
    let locks: RedisLocks

    func claim(_ claim: Claim, in store: any ReservationStore) async -> StrategyResult {
        let names = claim.cart.buckets.map { "rsv:\($0.lockName):\(claim.holder)" }
        let result = try? await locks.withLock(names) { _ in await store.ask(claim, by: .atomic) }
        return result ?? failed("No lock.")
    }
}

/// F4: gives the lock back, then writes.
struct ReleasesEarly: ReservationStrategy {
    let name = "released early"
    let locks: RedisLocks

    func claim(_ claim: Claim, in store: any ReservationStore) async -> StrategyResult {
        let names = claim.cart.buckets.map { "rsv:" + $0.lockName }
        guard let token = try? await locks.withLock(names, { $0.fencingToken }) else { return failed("No lock.") }
        return await store.ask(claim, by: .fenced(token: token))
    }
}

/// F5: takes one lock after the other, in the order in which the buyer happened to click.
struct LocksOneByOne: ReservationStrategy {
    let name = "one by one"
    let locks: RedisLocks
    let rendezvous = Rendezvous()

    func claim(_ claim: Claim, in store: any ReservationStore) async -> StrategyResult {
        let isTurned = claim.holder.hasSuffix("1")
        let buckets = isTurned ? claim.cart.buckets.reversed() : claim.cart.buckets
        var leases: [Lease] = []
        var result: StrategyResult?
        for bucket in buckets {
            // Does not wait for ever: the deadlock is answered as such.
            guard let lease = try? await locks.acquireIfAvailable("rsv:" + bucket.lockName) else {
                result = failed("A deadlock.")
                break
            }
            leases.append(lease)
            if leases.count == 1 { await rendezvous.meet() }
        }
        if result == nil { result = await store.ask(claim, by: .atomic) }
        for lease in leases { try? await lease.release() }
        return result ?? failed("Nothing was asked.")
    }
}

/// F12: a line in which everybody is served in turn, also those who are gone.
final class WaitsForTheGone: ReservationStrategy {
    private struct Line {
        var next = 0
        var serving = 0
        var waiting: [Int: CheckedContinuation<Void, Never>] = [:]
        var gone: Set<Int> = []
    }

    let name = "waits for the gone"
    private let line = Mutex(Line())

    func claim(_ claim: Claim, in store: any ReservationStore) async -> StrategyResult {
        let ticket = line.withLock { line in
            defer { line.next += 1 }
            return line.next
        }
        guard await turn(of: ticket) else {
            return StrategyResult(.failure(StoreError(.cancelled, "Walked away.")), attempts: 1)
        }
        let result = await store.ask(claim, by: .atomic)
        let successor = line.withLock { line in
            line.serving = ticket + 1
            return line.waiting.removeValue(forKey: ticket + 1)
        }
        successor?.resume()
        return result
    }

    /// Whether it came before the waiter was gone.
    private func turn(of ticket: Int) async -> Bool {
        await withTaskCancellationHandler {
            await withCheckedContinuation { continuation in
                let isOver = line.withLock { line in
                    if line.serving == ticket || line.gone.contains(ticket) { return true }
                    line.waiting[ticket] = continuation
                    return false
                }
                if isOver { continuation.resume() }
            }
        } onCancel: {
            let continuation = line.withLock { line in
                line.gone.insert(ticket)
                return line.waiting.removeValue(forKey: ticket)
            }
            continuation?.resume()
        }
        return line.withLock { !$0.gone.contains(ticket) }
    }
}
