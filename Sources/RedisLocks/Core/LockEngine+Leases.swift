/// Renewal, loss, release and shutdown.
extension LockEngine {
    func keep(_ lease: LeaseRecord) {
        leases[lease.id] = lease
        arm(lease)
    }

    /// A lease has one timer: the earliest of renewal, warning and deadline.
    func arm(_ lease: LeaseRecord) {
        disarm(lease)
        let deadline = lease.state.deadline
        var next = deadline
        if !lease.isExtending && mayExtend(lease) { next = min(next, lease.nextRenewal) }
        if !lease.hasWarned { next = min(next, deadline - lease.terms.earlyWarning) }
        lease.timer = runtime.timers.schedule(at: next) {
            lease.timer = nil
            self.tick(lease)
        }
    }

    func disarm(_ lease: LeaseRecord) {
        if let timer = lease.timer { runtime.timers.cancel(timer) }
        lease.timer = nil
    }

    private func tick(_ lease: LeaseRecord) {
        let deadline = lease.state.deadline
        if now >= deadline {
            if Mutant.isOn(.lateExtendAccepted) && lease.isExtending { return }
            return lose(lease, deadline == lease.latestDeadline ? .maximumHold : .expired)
        }
        if !lease.hasWarned && now >= deadline - lease.terms.earlyWarning {
            lease.hasWarned = true
            lease.state.warn(remaining: deadline - now)
        }
        if !lease.isExtending && mayExtend(lease) && now >= lease.nextRenewal { extend(lease) }
        if lease.timer == nil { arm(lease) }
    }

    func mayExtend(_ lease: LeaseRecord) -> Bool {
        lease.latestDeadline.map { lease.state.deadline < $0 } ?? true
    }

    func isLive(_ lease: LeaseRecord) -> Bool {
        guard leases[lease.id] === lease else { return false }
        // Asking for the status would tell the lease that it has expired.
        if Mutant.isOn(.lostLeaseResurrected) || Mutant.isOn(.lateExtendAccepted) { return true }
        return lease.state.status(at: now) == .held
    }

    /// A lost lease stays lost. Its keys are left alone until the holder is done, which may still be winding down.
    func lose(_ lease: LeaseRecord, _ reason: LeaseLossReason) {
        disarm(lease)
        lease.state.end(.lost(reason))
        report(.leaseLost(names: lease.terms.nameStrings, reason: reason))
        advance(line.leave(lease.id))
    }

    // MARK: Release

    /// Ends a lease that was taken out of `leases`. The next in line follows at once: its ACQUIRE goes out behind our
    /// RELEASE, on the same connections and in the same write.
    func end(_ lease: LeaseRecord, then completion: @escaping (ReleaseResult) -> Void) {
        disarm(lease)
        let status = lease.state.status(at: now)
        if case .lost(let reason) = status {
            lease.state.end(.lost(reason))
            releaseQuietly(lease.terms.names, owner: lease.owner, at: nodes.indices, ttl: lease.terms.ttl)
            completion(.lost(reason))
        } else {
            lease.state.end(.released)
            Release(lease, nodes: nodes.count, completion: completion).start(in: self)
        }
        advance(line.leave(lease.id))
        updateDemand()
        // Asked during a shutdown only: going through all leases at each release would be slow with many.
        if let onLeasesGone, !leases.values.contains(where: \.hasBody) { onLeasesGone() }
    }

    // MARK: Shutdown

    /// Refuses new requests, ends what is held, and closes the connections when all of it has been said.
    ///
    /// Bodies are cancelled and given ``EngineSettings/shutdownGrace`` to end; the keys of those that do not are left to
    /// expire, because the body may still be working under them.
    package func close() async {
        if isClosing { return await waitUntilClosed() }
        isClosing = true
        for waiter in waiters.values.sorted(by: { $0.id < $1.id }) {
            fail(waiter, .closedClient(waiter.terms.nameStrings))
        }
        for lease in leases.values.sorted(by: { $0.id < $1.id }) {
            if lease.hasBody {
                lose(lease, .shutdown)
            } else {
                leases[lease.id] = nil
                disarm(lease)
                lease.state.end(.lost(.shutdown))
                report(.leaseLost(names: lease.terms.nameStrings, reason: .shutdown))
                releaseQuietly(lease.terms.names, owner: lease.owner, at: nodes.indices, ttl: lease.terms.ttl)
            }
        }
        await waitForBodies()
        await closeNodes()
        for waiter in closeWaiters { waiter.resume() }
        closeWaiters = []
    }

    /// A second caller must not return, and stop the thread, while the first still waits for bodies.
    private func waitUntilClosed() async {
        guard !isClosed else { return }
        await withCheckedContinuation { closeWaiters.append($0) }
    }

    private func waitForBodies() async {
        guard leases.values.contains(where: \.hasBody) else { return }
        await withCheckedContinuation { continuation in
            let timer = runtime.timers.schedule(at: now + settings.shutdownGrace) { self.onLeasesGone?() }
            onLeasesGone = {
                self.onLeasesGone = nil
                self.runtime.timers.cancel(timer)
                continuation.resume()
            }
        }
    }

    private func closeNodes() async {
        defer { isClosed = true }
        let closing = nodes
        nodes = []
        guard !closing.isEmpty else { return }
        var remaining = closing.count
        await withCheckedContinuation { continuation in
            for node in closing {
                node.close(deadline: now + .seconds(1)) {
                    remaining -= 1
                    if remaining == 0 { continuation.resume() }
                }
            }
        }
    }

    /// Like ``close()``, for an owner that cannot wait: what can be sent in this turn is sent.
    package func closeNow() {
        guard !isClosing else { return }
        isClosing = true
        isClosed = true
        for waiter in waiters.values.sorted(by: { $0.id < $1.id }) {
            fail(waiter, .closedClient(waiter.terms.nameStrings))
        }
        for lease in leases.values.sorted(by: { $0.id < $1.id }) {
            disarm(lease)
            lease.state.end(.lost(.shutdown))
            releaseQuietly(lease.terms.names, owner: lease.owner, at: nodes.indices, ttl: lease.terms.ttl)
        }
        leases = [:]
        for node in nodes { node.close(deadline: now + .milliseconds(100)) {} }
        nodes = []
    }
}

/// A value that closures share.
final class Box<Value> {
    var value: Value

    init(_ value: Value) {
        self.value = value
    }
}
