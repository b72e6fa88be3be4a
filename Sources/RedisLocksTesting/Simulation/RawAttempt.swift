import RedisLocks

/// An acquire of a block of tokens: the shipped decisions without the shipped shell, which asks for one token at a time.
///
/// Guard: a simulation and all of its parts are used on one reactor, in one job.
final class RawAttempt: @unchecked Sendable {
    private let task: SimulatedTask
    private let terms: LockTerms
    private let owner: OwnerID
    private let block: Int64
    private var machine: AcquireMachine
    private var isOver = false
    /// Tokens of the block besides the first: those at its ends.
    private(set) var others: [Int64] = []
    private var links: [SimulatedLink] { task.client.links }

    init(_ task: SimulatedTask, _ terms: LockTerms) {
        self.task = task
        self.terms = terms
        owner = OwnerID(using: &task.client.random)
        block = 1 + Int64(task.client.random.below(32))
        machine = AcquireMachine(nodes: task.client.links.count, terms: terms, start: task.client.now)
    }

    func start() {
        let deadline = task.client.now + terms.nodeTimeout
        for (index, link) in links.enumerated() {
            var request = AcquireRequest(terms, owner: owner, isDurable: link.isDurable)
            request.block = block
            link.send(.acquire(request), deadline: deadline) { [self] response in
                perform(machine.acquireAnswered(by: index, with: response, at: task.client.now))
            }
        }
    }

    private func perform(_ action: AcquireMachine.Action) {
        guard !isOver else { return }
        switch action {
        case .wait: break
        case .confirm(let indices, let top):
            let request = NodeRequest.confirm(
                names: terms.names, owner: owner, top: top, counterExpiry: terms.counterExpiry.milliseconds)
            for index in indices {
                links[index].send(request, deadline: task.client.now + terms.nodeTimeout) { [self] response in
                    perform(machine.confirmAnswered(by: index, top: top, with: response, at: task.client.now))
                }
            }
        case .granted(let top, let deadline):
            isOver = true
            task.rawGranted(first: top - block + 1, deadline: SimulationTime.nanoseconds(deadline))
            others = block > 1 ? Set([top - block + 2, top]).sorted() : []
        case .refused:
            isOver = true
            release()
            task.rawRefused()
        }
    }

    func release() {
        for link in links {
            link.send(.release(names: terms.names, owner: owner), deadline: task.client.now + terms.ttl) { _ in }
        }
    }
}
