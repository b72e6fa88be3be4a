/// Looks again and again until `condition` holds, and throws an error that names `what` when it does not in time.
///
/// Only for what another process does and tells nobody. Whatever our own code does has a real signal to wait for.
package func waitUntil(
    _ what: String,
    within limit: Duration = .seconds(30),
    isolation: isolated (any Actor)? = #isolation,
    _ condition: () async throws -> Bool
) async throws {
    let start = ContinuousClock.now
    while true {
        if try await condition() { return }
        guard start.duration(to: .now) < limit else {
            throw TestSupportError("Waited \(limit) in vain until \(what).")
        }
        try await Task.sleep(for: .milliseconds(5))  // sleep: the pace of looking at another process
    }
}
