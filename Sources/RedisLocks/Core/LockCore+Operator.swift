/// What is asked of all nodes at once.
extension LockCore {
    func connect() async throws(LockError) {
        let responses = await engine.connect()
        let labels = await engine.nodeLabels()
        guard !responses.isEmpty else { throw .closedClient([]) }
        // What a minority lacks is told to the log by the nodes themselves.
        guard let reports = tooFewAnswers(responses, labels) else { return }
        if responses.contains(where: { $0.failure?.effect == .permanent }) { throw .refusedByNodes(reports) }
        throw LockError(
            .quorumUnreachable, "Too few lock nodes can be reached; check that they run.", nodes: reports)
    }

    func status(of name: String) async throws(LockError) -> LockStatus {
        let lockName = try LockName(name)
        let responses = await engine.ask(.inspect(lockName), timeout: configuration.connectTimeout)
        let labels = await engine.nodeLabels()
        guard !responses.isEmpty else { throw .closedClient([name]) }
        let guardTime = configuration.guardTime(nodes: nodeCount)
        return LockStatus(
            name: name,
            nodes: zip(labels, responses).map { LockStatus.Node(label: $0, response: $1, guardTime: guardTime) })
    }

    func breakLock(_ name: String) async throws(LockError) -> Bool {
        let lockName = try LockName(name)
        let responses = await engine.ask(.breakLock(lockName), timeout: configuration.connectTimeout)
        let labels = await engine.nodeLabels()
        guard !responses.isEmpty else { throw .closedClient([name]) }
        if let reports = tooFewAnswers(responses, labels) {
            if responses.contains(where: { $0.failure?.effect == .permanent }) {
                throw .refusedByNodes(reports, names: [name])
            }
            throw LockError(
                .quorumUnreachable, "Too few nodes answered to break the lock \([name].quoted).", names: [name],
                nodes: reports)
        }
        return responses.contains { if case .reply(.released(1...)) = $0 { true } else { false } }
    }

    func initializeNodes(force: Bool) async throws(LockError) -> [NodeInitialization] {
        let labels = await engine.nodeLabels()
        if !force {
            let found = await askReachable(.findCounter)
            if let objection = Self.objection(to: found) { return zip(labels, found).map(objection) }
        }
        let responses = await askReachable(.initialize(isForced: force))
        guard !responses.isEmpty else { throw .closedClient([]) }
        return zip(labels, responses).map {
            NodeInitialization(node: $0, outcome: NodeInitialization.Outcome($1))
        }
    }

    /// Why nothing may be initialized, given what the nodes know; `nil` when all of them are new.
    ///
    /// For the set as a whole: the node without counters is the one that has lost its memory, if any other has some. And one
    /// that cannot be asked may be the one that would tell.
    private static func objection(to found: [NodeResponse]) -> ((String, NodeResponse) -> NodeInitialization)? {
        let counter = found.lazy.compactMap { response -> String? in
            if case .reply(.holdsCounter(let counter)) = response { counter } else { nil }
        }.first
        guard counter != nil || found.contains(where: { $0.failure != nil }) else { return nil }
        return { label, response in
            if response.failure != nil {
                return NodeInitialization(node: label, outcome: NodeInitialization.Outcome(response))
            }
            return NodeInitialization(node: label, outcome: counter.map { .refused(counter: $0) } ?? .skipped)
        }
    }

    /// Those that are away are not waited for as long as a search through many keys may take.
    private func askReachable(_ request: NodeRequest) async -> [NodeResponse] {
        await engine.askReachable(
            request, within: Self.initializationTimeout, connectingWithin: configuration.connectTimeout)
    }

    /// All keys of a server may have to be looked at.
    private static let initializationTimeout: Duration = .seconds(60)

    /// What the nodes did, when so many failed that a majority has not answered.
    private func tooFewAnswers(_ responses: [NodeResponse], _ labels: [String]) -> [NodeReport]? {
        guard responses.count(where: { $0.failure != nil }) > (nodeCount - 1) / 2 else { return nil }
        return zip(labels, responses).map { label, response in
            NodeReport(node: label, outcome: response.failure?.outcome ?? .won)
        }
    }
}

extension NodeInitialization.Outcome {
    fileprivate init(_ response: NodeResponse) {
        switch response {
        case .reply(.initialized): self = .initialized
        case .reply(.holdsCounter(let counter)): self = .refused(counter: counter)
        case .reply: self = .failed("answered something else than was asked")
        case .failure(let failure):
            switch failure.outcome {
            case .unreachable, .timedOut: self = .unreachable(failure.outcome.phrase)
            default: self = .failed(failure.outcome.phrase)
            }
        }
    }
}

extension LockStatus.Node {
    fileprivate init(label: String, response: NodeResponse, guardTime: Duration?) {
        switch response {
        case .reply(.inspected(let inspection)):
            self.init(
                node: label,
                state: inspection.isHeld ? .held(remaining: inspection.remaining.map { .milliseconds($0) }) : .free,
                fence: inspection.fence, quarantine: guardTime.flatMap { inspection.quarantine(guardTime: $0) })
        case .reply:
            self.init(node: label, state: .unknown("answered something else than was asked"), fence: nil)
        case .failure(let failure):
            self.init(node: label, state: .unknown(failure.outcome.phrase), fence: nil)
        }
    }
}

extension Inspection {
    /// What the node would say to an ACQUIRE now.
    fileprivate func quarantine(guardTime: Duration) -> Duration? {
        // Its clock fell behind the record, or there is none of this process: the time begins with the next request.
        guard let since, since <= now else { return guardTime }
        let left = guardTime - .milliseconds(now - since)
        return left > .zero ? left : nil
    }
}
