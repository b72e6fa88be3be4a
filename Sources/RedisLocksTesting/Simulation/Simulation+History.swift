import RedisLocks

/// What clients are told, written down by true time, as the checkers want it.
extension Simulation {
    func randomNames(_ random: inout SimulationRandom) -> [LockName] {
        let first = random.below(plan.nameCount)
        guard plan.nameCount > 1, random.chance(250) else { return [SimulationCatalogue.names[first]] }
        let second = (first + 1 + random.below(plan.nameCount - 1)) % plan.nameCount
        return [SimulationCatalogue.names[first], SimulationCatalogue.names[second]]
    }

    private static let nameStrings = SimulationCatalogue.names.map(\.string)

    func begin(client: SimulatedClient, names: [LockName]) -> Int {
        let id = history.operations.count
        history.operations.append(
            LockOperation(
                id: id, client: client.label,
                names: names.map { Self.nameStrings[SimulationCatalogue.index(of: [$0])] },
                invoked: now))
        return id
    }

    func refused(_ id: Int, _ error: LockError? = nil, isLast: Bool = false) {
        history.operations[id].returned = now
        history.operations[id].outcome = .refused
        guard let error else { return }
        if error.code == .fencingUnavailable { sometimes.note(.fencingUnavailable) }
        for node in error.nodes {
            if node.outcome == .won { sometimes.note(.burnedCounter) }
            noteSkew(node)
        }
        if isLast, plan.world == .sound {
            violations.append(Violation(.stuck, "Without faults, the lock cannot be had: \(error)", operations: [id]))
        }
    }

    private func noteSkew(_ node: NodeReport) {
        guard case .clockSkewed(let skew) = node.outcome else { return }
        sometimes.note(.skewFiltered)
        if plan.world == .sound, !plan.faults.has(.skew) {
            let sentence = "\(node.node) was distrusted for a clock \(skew) off at \(now), and is not."
            violations.append(Violation(.distrustedInVain, sentence))
        }
    }

    func granted(_ grant: Grant) {
        if grant.confirmRounds > 0 { sometimes.note(.secondRound) }
        for node in grant.nodes { noteSkew(node.report) }
    }

    func grant(_ id: Int, token: Int64, deadline: Int64) {
        note(token)
        trace?.add(
            now, "\(history.operations[id].client) holds \(history.operations[id].names) by operation \(id): \(token)")
        history.operations[id].returned = now
        history.operations[id].outcome = .granted(token: token)
        history.operations[id].deadline = deadline
    }

    func renew(_ id: Int, deadline: Int64) {
        history.operations[id].deadline = deadline
    }

    /// The holder was told that it holds the lock: whatever was calculated before, it believes so now.
    func seenHeld(_ id: Int) {
        history.operations[id].deadline = max(now, history.operations[id].deadline ?? now)
        history.operations[id].ended = nil
    }

    /// What was planted anew counts from the next extension on, and silence never.
    func renewedWithoutMajority(_ id: Int) {
        violations.append(
            Violation(
                .renewedWithoutMajority, "Operation \(id) was renewed at \(now), but no majority had extended it.",
                operations: [id]))
    }

    /// A lost lease must stay lost.
    func resurrected(_ id: Int) {
        violations.append(
            Violation(
                .lostLeaseHeld, "Operation \(id) was lost, and is told at \(now) that it holds.", operations: [id]))
    }

    func ended(_ id: Int) {
        trace?.add(now, "\(history.operations[id].client) has lost operation \(id)")
        history.operations[id].ended = history.operations[id].ended ?? now
    }

    func releasing(_ id: Int) { history.operations[id].releaseInvoked = now }
    func released(_ id: Int) { history.operations[id].releaseReturned = now }
    func processDied(_ id: Int) { ended(id) }

    /// The other tokens of a block, used one after the other at this moment by other tasks of the process.
    func handOff(_ id: Int, tokens: [Int64]) {
        for token in tokens {
            sometimes.note(.handedOff)
            var operation = history.operations[id]
            operation.id = history.operations.count
            operation.client += "-next"
            operation.leaseInvoked = operation.invoked
            (operation.invoked, operation.returned, operation.releaseInvoked) = (now, now, now)
            operation.outcome = .granted(token: token)
            history.operations.append(operation)
        }
    }

    func stored(_ request: StoreRequest, _ kind: StoreEvent.Kind) {
        if !request.isAccepted { sometimes.note(.storeRefusal) }
        history.storeEvents.append(
            StoreEvent(
                at: now, key: Self.nameStrings[request.name], client: clients[request.client].label,
                operation: request.operation, token: request.token, kind: kind, accepted: request.isAccepted))
    }

    func engineReported(_ event: EngineEvent) {
        if case .replanted = event { sometimes.note(.replanted) }
    }

    // MARK: Checks

    /// After everything: who said what, and what is left.
    func checkEnd() {
        violations += history.check(inside: plan.world == .sound)
        if plan.world != .sound {
            sometimes.note(.doubleHoldOutside, times: LeaseOverlapChecker().check(history).count)
        } else {
            var left: [String] = []
            for server in servers {
                let later = server.wall(now + plan.catalogue.maximumTTL * 2)
                for name in SimulationCatalogue.names where server.redis.entry(name.bytes, at: later) != nil {
                    left.append("\(server.label)/\(name.string)")
                }
            }
            violations += LeakChecker(remainingLockKeys: left).check()
        }
        for client in clients where client.links.contains(where: { !$0.isIdle }) {
            violations.append(Violation(.leakedTasks, "\(client.label) still waits for an answer."))
        }
    }
}
