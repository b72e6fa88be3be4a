import Hiredis

/// What operators ask: no scripts, so that a busy user's credentials need no more than before.
extension RedisLockNode {
    /// PTTL tells whether the key is there without showing its value, which is the owner's secret.
    func inspect(
        _ name: LockName, deadline: ContinuousClock.Instant, _ completion: @escaping (NodeResponse) -> Void
    ) {
        var pttl = RedisCommand(verb: "PTTL")
        pttl.append(bytes: name.bytes)
        let commands = [
            pttl, RedisCommand("GET", name.fenceKeyString), RedisCommand("HMGET", LockName.bootKey, "rid", "since"),
            RedisCommand("TIME"),
        ]
        connection.submit(commands, deadline: deadline) { results in
            var values: [RedisValue] = []
            for result in results {
                switch (self.response(to: result) { _ in .pong }, result) {
                case (.reply, .success(let value)): values.append(value)
                case (let failure, _): return completion(failure)
                }
            }
            guard let inspection = ScriptReply.inspection(values, runID: self.facts.runID, isDurable: self.isDurable)
            else {
                return completion(
                    .failure(NodeFailure(.ambiguous, .refused("answered something else than was asked"))))
            }
            completion(.reply(.inspected(inspection)))
        }
    }

    /// Writes the boot record of a server that has never voted.
    func initialize(
        isForced: Bool, deadline: ContinuousClock.Instant, _ completion: @escaping (NodeResponse) -> Void
    ) {
        // The connection, and with it the run_id, must be there.
        submit(RedisCommand("PING"), deadline: deadline) { response in
            guard case .reply = response else { return completion(response) }
            let runID = self.facts.runID
            if isForced { return self.writeBootRecord(of: runID, deadline: deadline, completion) }
            self.lookForCounters(from: "0", of: runID, deadline: deadline, completion) {
                self.writeBootRecord(of: runID, deadline: deadline, completion)
            }
        } decode: {
            ScriptReply.ping($0)
        }
    }

    /// Answers with the first counter that is found; calls `onNone` when there is none.
    ///
    /// A search that a restart interrupted proves nothing, and fails: each page must be of the process that the first was of.
    func lookForCounters(
        from cursor: String, of runID: String, deadline: ContinuousClock.Instant,
        _ completion: @escaping (NodeResponse) -> Void, onNone: @escaping () -> Void
    ) {
        let scan = RedisCommand("SCAN", cursor, "MATCH", "{*}:fence", "COUNT", "1000")
        connection.submit(scan, deadline: deadline) { result in
            let response = self.response(to: result) { _ in .pong }
            guard case .reply = response, case .success(let value) = result else { return completion(response) }
            guard let page = value.array, page.count == 2, let next = page[0].string, let found = page[1].array else {
                return completion(
                    .failure(NodeFailure(.notApplied, .refused("answered something else than was asked"))))
            }
            if let counter = found.first?.string { return completion(.reply(.holdsCounter(counter))) }
            guard runID == self.facts.runID else {
                return completion(
                    .failure(NodeFailure(.notApplied, .unreachable("restarted while it was looked at; try again"))))
            }
            guard next == "0" else {
                return self.lookForCounters(from: next, of: runID, deadline: deadline, completion, onNone: onNone)
            }
            onNone()
        }
    }

    private func writeBootRecord(
        of runID: String, deadline: ContinuousClock.Instant, _ completion: @escaping (NodeResponse) -> Void
    ) {
        // Should the server restart right now, the record names a process that is gone, and the node abstains.
        let record = RedisCommand("HSET", LockName.bootKey, "rid", runID, "since", "0")
        submit(record, deadline: deadline, completion) { value in
            if case .integer = value { .initialized } else { nil }
        }
    }
}
