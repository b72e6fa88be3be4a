import Foundation

/// One buyer: comes, wants one, tries again when told to, and decides what to do with it.
struct RushBuyer: Sendable {
    enum Fate: Sendable { case confirm, cancel, leave }

    /// Whether the same request is sent twice.
    enum Repetition: Sendable { case never, atOnce, later }

    enum End: Sendable, Equatable {
        case confirmed, cancelled, left
        /// The hold was over before it could be decided.
        case overtaken
        case soldOut
        case refused(String)
        /// Nobody has told what became of it.
        case unanswered
    }

    /// What became of a buyer: his reservation, if he was told of one.
    struct Story: Sendable {
        var id: String?
        var end: End

        /// How his reservation must be found once all holds are over; `nil` where nobody can say.
        var state: String? {
            switch end {
            case .confirmed: "confirmed"
            case .cancelled: "cancelled"
            case .left, .overtaken: "expired"
            case .soldOut, .refused, .unanswered: nil
            }
        }
    }

    let number: Int
    let client: RushClient
    let plan: RushPlan
    let book: RushBook
    var fate = Fate.confirm
    var repetition = Repetition.never
    let came: ContinuousClock.Instant

    let token = Caller.makeSecret()
    private let key = "rush-\(UUID().uuidString)"

    init(number: Int, client: RushClient, plan: RushPlan, book: RushBook, came: ContinuousClock.Instant) {
        (self.number, self.client, self.plan, self.book, self.came) = (number, client, plan, book, came)
    }

    func run() async -> Story {
        let answer: RushClient.Answer?
        if repetition == .atOnce {
            async let first = reserve()
            // By another process, where there are several.
            async let second = reserve(turn: number + 1)
            let both = await (first, second)
            book.compare(both.0, both.1)
            answer = [both.0, both.1].compactMap { $0 }.first { $0.status == 201 } ?? both.0 ?? both.1
        } else {
            answer = await reserve()
        }
        var story = await goOn(answer)
        if repetition == .later {
            try? await Task.sleep(for: .milliseconds(Int.random(in: 0...1_000)))
            let again = await reserve(turn: number + 1)
            book.compare(answer, again)
            // A refusal is no answer for good: what others held may be free by now.
            if story.id == nil, again?.status == 201 { story = await goOn(again) }
        }
        return story
    }

    /// Asks again as if nothing had been answered: the keys are the same, and so must be what comes of it.
    func runAgain() async -> Story { await goOn(await reserve(turn: number + 2)) }

    /// Sends a request again that was answered with this reservation. `nil` when there is no answer.
    func finds(_ id: String) async -> Bool? {
        guard let answer = await reserve(turn: number + 1), answer.isDefinite else { return nil }
        return answer.status == 201 && answer.decode(RushClient.Held.self)?.id == id
    }

    private func goOn(_ answer: RushClient.Answer?) async -> Story {
        guard let answer, answer.isDefinite else { return Story(end: .unanswered) }
        guard answer.status == 201, let held = answer.decode(RushClient.Held.self) else {
            guard answer.code == "out-of-stock" else { return Story(end: .refused(answer.code)) }
            book.rejected(number, after: ContinuousClock.now - came)
            return Story(end: .soldOut)
        }
        book.accepted(number, after: ContinuousClock.now - came)
        return Story(id: held.id, end: await decide(held.id))
    }

    private func decide(_ id: String) async -> End {
        let (answer, end): (RushClient.Answer?, End)
        switch fate {
        case .leave: return .left
        case .cancel:
            answer = await patiently {
                try await client.send(.DELETE, "/v1/reservations/\(id)", turn: $0, token: token)
            }
            end = .cancelled
        case .confirm:
            answer = await patiently {
                try await client.send(
                    .POST, "/v1/reservations/\(id)/confirm", turn: $0, token: token, key: "pay-\(key)")
            }
            end = .confirmed
        }
        guard let answer, answer.isDefinite else { return .unanswered }
        if answer.status == 200 { return end }
        return answer.code == "hold-expired" ? .overtaken : .refused("\(fate): \(answer.code)")
    }

    private func reserve(turn: Int? = nil) async -> RushClient.Answer? {
        let ttl = plan.isLifecycle ? ",\"ttl\":\(Int(plan.hold / .seconds(1)))" : ""
        let body = "{\"lines\":[{\"item\":\"\(plan.item)\",\"quantity\":1}]\(ttl)}"
        let answer = await patiently(from: turn) {
            try await client.send(.POST, "/v1/reservations", turn: $0, token: token, key: key, body: body)
        }
        guard let answer, answer.status == 202, let place = answer.location else { return answer }
        return await waitInLine(place)
    }

    /// Asks where it stands until it is decided. What comes of it is answered as if nothing had been waited for.
    private func waitInLine(_ place: String) async -> RushClient.Answer? {
        let end = ContinuousClock.now + plan.linePatience
        // An idle line decides at once.
        var wait: Duration = .milliseconds(100)
        while ContinuousClock.now + wait < end, !Task.isCancelled {
            try? await Task.sleep(for: wait)
            let asked = await patiently { try await client.send(.GET, place, turn: $0, token: token) }
            guard let answer = asked, answer.isDefinite else { return nil }
            if answer.status == 303, let reservation = answer.location {
                let held = await patiently { try await client.send(.GET, reservation, turn: $0, token: token) }
                return held?.status == 200 ? held?.with(status: 201) : held
            }
            if let refusal = answer.refusal { return refusal }
            guard answer.status == 200 else { return answer }
            wait = min(answer.retryAfter ?? .seconds(1), .seconds(15)) + .milliseconds(Int.random(in: 0...200))
        }
        return nil
    }

    /// Sends the same request until there is an answer that is one. Without any answer it is sent again, and to the next process
    /// where there are several: the key makes it the same request.
    private func patiently(
        from turn: Int? = nil, _ ask: (Int) async throws -> RushClient.Answer
    ) async -> RushClient.Answer? {
        let end = ContinuousClock.now + plan.patience
        var last: RushClient.Answer?
        var turn = turn ?? number
        while !Task.isCancelled {
            var wait: Duration = .milliseconds(Int.random(in: 200...1_000))
            if let answer = try? await ask(turn) {
                last = answer
                if answer.isDefinite { return answer }
                wait = min(answer.retryAfter ?? wait, .seconds(3)) + .milliseconds(Int.random(in: 0...300))
            }
            guard ContinuousClock.now + wait < end else { return last }
            book.retried()
            turn += 1
            try? await Task.sleep(for: wait)
        }
        return last
    }
}

extension RushClient.Answer {
    /// Whether it says what became of the request, and not only that it may be sent again.
    var isDefinite: Bool { ![429, 500, 502, 503, 504].contains(status) && code != "idempotency-in-progress" }
}
