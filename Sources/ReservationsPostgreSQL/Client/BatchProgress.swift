/// Which answer of a pipeline is whose.
///
/// libpq gives, for each step sent, its results, and then a `NULL`; for the synchronization at the end one result of its
/// own. After an error the server skips the rest up to the synchronization. Only that answers: until it has come, what the
/// steps did may still be rolled back, or have been committed.
struct BatchProgress {
    enum Step: Hashable {
        case prepare(sql: String, name: String)
        case execute
        case synchronize
    }

    enum Event {
        /// A step has succeeded, with or without rows.
        case rows(Rows)
        case failed(DatabaseError)
        /// Skipped because of an earlier error.
        case skipped
        /// The `NULL`.
        case endOfStep
        case synchronized
    }

    enum Action {
        case proceed
        /// The server knows this text from now on.
        case prepared(sql: String, name: String)
        case finish(Result<[Rows], DatabaseError>)
        /// The answers do not fit what was asked.
        case confused
    }

    private let steps: [Step]
    private var position = 0
    private var current: Rows?
    private var hasAnswer = false
    private var results: [Rows] = []
    private var error: DatabaseError?

    init(steps: [Step]) {
        self.steps = steps
    }

    static func name(of sql: String, preparedIn steps: [Step]) -> String? {
        for case .prepare(sql, let name) in steps { return name }
        return nil
    }

    mutating func handle(_ event: Event) -> Action {
        guard position < steps.count else { return .confused }
        switch event {
        case .rows(let rows): return answer(rows)
        case .failed(let error):
            // The first reason is the reason.
            if self.error == nil { self.error = error }
            hasAnswer = true
            return .proceed
        case .skipped:
            hasAnswer = true
            return error == nil ? .confused : .proceed
        case .endOfStep: return endStep()
        case .synchronized:
            guard case .synchronize = steps[position] else { return .confused }
            position += 1
            return .finish(error.map { .failure($0) } ?? .success(results))
        }
    }

    private mutating func answer(_ rows: Rows) -> Action {
        guard steps[position] != .synchronize, current == nil else { return .confused }
        hasAnswer = true
        current = rows
        return .proceed
    }

    private mutating func endStep() -> Action {
        // An error at the commit itself comes before the synchronization, and a `NULL` may follow it.
        if steps[position] == .synchronize { return hasAnswer ? .proceed : .confused }
        guard hasAnswer else { return .confused }
        defer {
            position += 1
            hasAnswer = false
            current = nil
        }
        guard let current else { return .proceed }
        switch steps[position] {
        case .prepare(let sql, let name): return .prepared(sql: sql, name: name)
        case .execute:
            results.append(current)
            return .proceed
        case .synchronize: return .confused
        }
    }
}
