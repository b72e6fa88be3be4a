/// A place in a line.
public struct Ticket: Sendable {
    /// Whose it is.
    public let holder: String
    /// His name for the request: with it the ticket is found again, in any process. See
    /// ``ReservationService/ticket(_:for:)``.
    public let key: String
    /// Where it stood in its line when it was last looked at.
    public let standing: QueueStanding

    let partition: Int
    let number: Int64
    /// What is asked for, if this process has sent it.
    var wanted: TicketBoard.Wanted?
    let line: WaitingLine
    let service: ReservationService

    var name: RequestName { RequestName(caller: holder, key: key) }

    /// How the line moves, and at last what was decided; then it ends. At once the present standing, then a new one when the
    /// line has moved, at most once a second; who reads slowly misses some, but never the decision.
    ///
    /// While somebody iterates, the buyer counts as present: see ``WaitingLine/Configuration/silence``.
    public var updates: AsyncStream<TicketUpdate> {
        let news = line.board.observe(name, partition: partition, number: number, wanted: wanted, isNew: false)
        let (stream, continuation) = AsyncStream.makeStream(of: TicketUpdate.self, bufferingPolicy: .bufferingNewest(1))
        let ticket = self
        let task = Task {
            for await item in news {
                switch item {
                case .standing(let standing): continuation.yield(.waiting(standing))
                case .decided(let state): continuation.yield(.decided(await ticket.result(of: state)))
                case .tooLate: break
                }
            }
            continuation.finish()
        }
        continuation.onTermination = { _ in task.cancel() }
        return stream
    }

    /// Waits for the decision.
    ///
    /// - Throws: why there is no reservation. ``ReservationError/Code/cancelled`` when the task is cancelled; the ticket stays
    ///   in its line then.
    public func reservation() async throws(ReservationError) -> Reservation {
        let news = line.board.observe(name, partition: partition, number: number, wanted: wanted, isNew: false)
        if let reservation = try await decision(on: news) { return reservation }
        throw .busy(attempts: 1, strategy: QueuedStrategy.name)
    }

    /// - Returns: `nil` when the time to wait was up before.
    func decision(on news: AsyncStream<TicketNews>) async throws(ReservationError) -> Reservation? {
        for await item in news {
            switch item {
            case .decided(let state): return try await result(of: state).get()
            case .tooLate: return nil
            case .standing: continue
            }
        }
        if Task.isCancelled {
            throw .stoppedWaiting
        }
        throw ReservationError(
            .closed, "The waiting line was shut down in this process; the request stays in its line.")
    }

    /// Leaves the line, if it is not too late: then it answers what was decided.
    ///
    /// - Returns: the reservation that was made before; `nil` when the place was given up.
    @discardableResult
    public func withdraw() async throws(ReservationError) -> Reservation? {
        try await service.withdraw(key, for: holder)
    }

    private func result(of state: QueuedRequest.State) async -> Result<Reservation, ReservationError> {
        do throws(ReservationError) {
            return .success(try await service.reservation(from: state))
        } catch {
            return .failure(error)
        }
    }
}

/// What a ticket tells.
public enum TicketUpdate: Sendable {
    /// It is in its line.
    case waiting(QueueStanding)
    /// It had its turn.
    case decided(Result<Reservation, ReservationError>)
}

/// How far it is to one's turn.
public struct QueueStanding: Hashable, Sendable {
    /// The first in the line has 1. At most so many are served before and with this one: some ahead may have left.
    public let position: Int
    /// When the answer may come: in half of the cases by the lower bound, in nine of ten by the upper, as fast as the line moves
    /// now. `nil` while too little is known.
    public let estimate: ClosedRange<Duration>?

    package init(position: Int, estimate: ClosedRange<Duration>?) {
        self.position = position
        self.estimate = estimate
    }
}

/// What came of a request that may have to wait.
public enum Submission: Sendable {
    /// It is held: nothing had to be waited for.
    case reserved(Reservation)
    /// It waits for its turn.
    case queued(Ticket)
}

/// What a ticket has come to, for those who ask now and then.
public enum TicketStatus: Sendable {
    /// It is in its line.
    case waiting(Ticket)
    /// It had its turn.
    case decided(Result<Reservation, ReservationError>)
}
