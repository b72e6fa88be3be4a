/// One release under way: asks every node, asks again where the answer got lost, and ends in bounded time.
///
/// Belongs to the engine.
final class Release {
    private enum Answer {
        case pending, released, notOurs, silent
    }

    private let lease: LeaseRecord
    private let completion: (ReleaseResult) -> Void
    private let majority: Int
    private var answers: [Answer]
    /// A request whose answer was lost may have deleted the key: "nothing to delete" then means released.
    private var wasAmbiguous: [Bool]
    private var reports: [NodeReport.Outcome?]
    private var isDone = false

    /// How often a node is asked again.
    private static let retries = 2

    init(_ lease: LeaseRecord, nodes: Int, completion: @escaping (ReleaseResult) -> Void) {
        self.lease = lease
        self.completion = completion
        majority = nodes / 2 + 1
        answers = Array(repeating: .pending, count: nodes)
        wasAmbiguous = Array(repeating: false, count: nodes)
        reports = Array(repeating: nil, count: nodes)
    }

    func start(in engine: isolated LockEngine) {
        for index in answers.indices { send(to: index, retriesLeft: Self.retries, in: engine) }
        if answers.isEmpty { finish(.unknown([])) }
    }

    private func send(to index: Int, retriesLeft: Int, in engine: isolated LockEngine) {
        guard engine.nodes.indices.contains(index) else { return settle(index, .silent, in: engine) }
        let request = NodeRequest.release(names: lease.terms.names, owner: lease.owner)
        engine.nodes[index].send(request, deadline: engine.now + lease.terms.nodeTimeout) { response in
            self.answered(index, response, retriesLeft: retriesLeft, in: engine)
        }
    }

    private func answered(
        _ index: Int, _ response: NodeResponse, retriesLeft: Int, in engine: isolated LockEngine
    ) {
        switch response {
        case .reply(.released(let count)):
            let isOurs = count == lease.terms.names.count || wasAmbiguous[index]
            settle(index, isOurs ? .released : .notOurs, in: engine)
        case .failure(let failure):
            reports[index] = failure.outcome
            if failure.effect == .ambiguous { wasAmbiguous[index] = true }
            if failure.effect == .ambiguous && retriesLeft > 0 && !isDone {
                send(to: index, retriesLeft: retriesLeft - 1, in: engine)
            } else {
                settle(index, .silent, in: engine)
            }
        default: settle(index, .silent, in: engine)
        }
    }

    private func settle(_ index: Int, _ answer: Answer, in engine: isolated LockEngine) {
        answers[index] = answer
        // One more waits for the connection to come back: whoever waits for the name need not wait for its expiry then.
        if answer == .silent {
            engine.releaseQuietly(
                lease.terms.names, owner: lease.owner, at: CollectionOfOne(index), ttl: lease.terms.ttl)
        }
        let tolerable = answers.count - majority
        if answers.count(where: { $0 == .released }) >= majority { return finish(.released) }
        if answers.count(where: { $0 == .notOurs }) > tolerable { return finish(.lost(.taken)) }
        if !answers.contains(where: { $0 == .pending }) {
            let nodes = zip(engine.labels, reports).map { NodeReport(node: $0, outcome: $1 ?? .notNeeded) }
            finish(.unknown(nodes))
        }
    }

    private func finish(_ result: ReleaseResult) {
        guard !isDone else { return }
        isDone = true
        completion(result)
    }
}
