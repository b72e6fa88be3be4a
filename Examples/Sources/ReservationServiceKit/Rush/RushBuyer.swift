import Foundation

/// One buyer: comes, wants one, tries again when told to, and decides what to do with it.
struct RushBuyer: Sendable {
    enum Fate: Sendable { case confirm, cancel, leave }

    enum End: Sendable {
        case confirmed(id: String, token: String)
        case cancelled
        case left
        case soldOut
        case gaveUp(String)
        /// Nobody has told whether it was sold.
        case unknown
    }

    let client: RushClient
    let plan: RushPlan
    let book: RushBook
    let fate: Fate
    let sendsTwice: Bool
    let came: ContinuousClock.Instant

    private let token = Caller.makeSecret()
    private let key = "rush-\(UUID().uuidString)"

    init(
        client: RushClient, plan: RushPlan, book: RushBook, fate: Fate, sendsTwice: Bool,
        came: ContinuousClock.Instant
    ) {
        (self.client, self.plan, self.book) = (client, plan, book)
        (self.fate, self.sendsTwice, self.came) = (fate, sendsTwice, came)
    }

    func run() async -> End {
        let answer: RushClient.Answer?
        if sendsTwice {
            async let first = reserve()
            async let second = reserve()
            let both = await (first, second)
            book.compare(both.0, both.1)
            answer = [both.0, both.1].compactMap { $0 }.first { $0.status == 201 } ?? both.0 ?? both.1
        } else {
            answer = await reserve()
        }
        guard let answer else { return .gaveUp("no-answer") }
        guard answer.status == 201, let held = answer.decode(RushClient.Held.self) else {
            if answer.code == "out-of-stock" {
                book.rejected(after: ContinuousClock.now - came)
                return .soldOut
            }
            return .gaveUp(answer.code)
        }
        book.accepted(after: ContinuousClock.now - came)
        return await decide(held.id)
    }

    private func decide(_ id: String) async -> End {
        switch fate {
        case .leave: return .left
        case .cancel:
            let answer = await patiently { try await client.send(.DELETE, "/v1/reservations/\(id)", token: token) }
            return answer?.status == 200 ? .cancelled : answer.map { .gaveUp("cancel: \($0.code)") } ?? .unknown
        case .confirm:
            let answer = await patiently {
                try await client.send(.POST, "/v1/reservations/\(id)/confirm", token: token, key: "pay-\(key)")
            }
            guard let answer else { return .unknown }
            return answer.status == 200 ? .confirmed(id: id, token: token) : .gaveUp("confirm: \(answer.code)")
        }
    }

    private func reserve() async -> RushClient.Answer? {
        let ttl = plan.isLifecycle ? ",\"ttl\":\(Rush.lifecycleHold)" : ""
        let body = "{\"lines\":[{\"item\":\"\(plan.item)\",\"quantity\":1}]\(ttl)}"
        let answer = await patiently {
            try await client.send(.POST, "/v1/reservations", token: token, key: key, body: body)
        }
        guard let answer, answer.status == 202, let place = answer.location else { return answer }
        return await waitInLine(place, answer)
    }

    /// Asks where it stands until it is decided. What comes of it is answered as if nothing had been waited for.
    private func waitInLine(_ place: String, _ accepted: RushClient.Answer) async -> RushClient.Answer? {
        var last = accepted
        let end = ContinuousClock.now + plan.linePatience
        // An idle line decides at once.
        var wait: Duration = .milliseconds(100)
        while ContinuousClock.now + wait < end, !Task.isCancelled {
            try? await Task.sleep(for: wait)
            guard let answer = await patiently({ try await client.send(.GET, place, token: token) }) else {
                return last
            }
            if answer.status == 303, let reservation = answer.location {
                let held = await patiently { try await client.send(.GET, reservation, token: token) }
                return held?.status == 200 ? held?.with(status: 201) : held
            }
            if let refusal = answer.refusal { return refusal }
            guard answer.status == 200 else { return answer }
            last = answer.with(status: 202)
            wait = min(answer.retryAfter ?? .seconds(1), .seconds(15)) + .milliseconds(Int.random(in: 0...200))
        }
        return last
    }

    /// Sends the same request until there is an answer that is one. Without any answer it is sent again: the key makes it the
    /// same request.
    private func patiently(_ ask: () async throws -> RushClient.Answer) async -> RushClient.Answer? {
        let end = ContinuousClock.now + plan.patience
        var last: RushClient.Answer?
        while !Task.isCancelled {
            var wait: Duration = .milliseconds(Int.random(in: 200...1_000))
            if let answer = try? await ask() {
                last = answer
                guard [429, 503].contains(answer.status) || answer.code == "idempotency-in-progress" else {
                    return answer
                }
                wait = min(answer.retryAfter ?? wait, .seconds(3)) + .milliseconds(Int.random(in: 0...300))
            }
            guard ContinuousClock.now + wait < end else { return last }
            book.retried()
            try? await Task.sleep(for: wait)
        }
        return last
    }
}
