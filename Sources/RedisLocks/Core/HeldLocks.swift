/// Which locks the current task holds through `withLock`: asking for one of them again would wait for itself.
enum HeldLocks {
    private struct Held: Sendable {
        let core: ObjectIdentifier
        let state: LeaseState
    }

    @TaskLocal private static var held: [Held] = []

    static func run<Result>(
        under lease: Lease, in core: LockCore, _ body: () async throws -> Result
    ) async rethrows -> Result {
        try await $held.withValue(held + [Held(core: ObjectIdentifier(core), state: lease.handle.state)]) {
            try await body()
        }
    }

    /// A task that outlives the body inherits the value, but not the lease: only a lease that still lives refuses.
    static func refuseReentry(of names: [LockName], in core: LockCore) throws(LockError) {
        for entry in held where entry.core == ObjectIdentifier(core) {
            let isHeld = entry.state.status(at: core.engine.runtime.timers.now) == .held
            guard isHeld, let name = entry.state.names.first(where: names.contains) else { continue }
            throw LockError(
                .reentrant,
                "The lock \([name.string].quoted) was asked for inside its own body, where it would wait for itself; pass the "
                    + "lease on instead.",
                names: names.map(\.string))
        }
    }
}
