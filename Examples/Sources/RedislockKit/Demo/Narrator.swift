import Synchronization

/// Tells what happens, one line each, and keeps count.
final class Narrator: Sendable {
    struct Tally: Sendable {
        var accepted = 0
        var refused = 0
        var lost = 0
        var nodesKilled = 0
        var isBroken = false
        var failures = 0
        var waiting: Set<String> = []
    }

    private let start = ContinuousClock.now
    private let colours: Bool
    private let tally = Mutex(Tally())

    init(colours: Bool) {
        self.colours = colours
    }

    var elapsed: Duration { ContinuousClock.now - start }
    var counts: Tally { tally.withLock { $0 } }

    func heading(_ text: String) {
        Console.print(colours ? "\n\u{1B}[1m\(text)\u{1B}[0m" : "\n\(text)")
    }

    func text(_ text: String) {
        Console.print(text)
    }

    func say(_ name: String, _ what: String) {
        let tenths = elapsed.wholeMilliseconds / 100
        let time = padded("\(tenths / 10).\(tenths % 10) s", to: 7, right: true)
        Console.print("\(time)  \(coloured(name))  \(what)")
    }

    /// More about what was just said.
    func detail(_ text: String) {
        Console.print("                   \(text)")
    }

    /// Something did not go as promised.
    func broken(_ what: String) {
        tally.withLock { $0.isBroken = true }
        say("director", "PROMISE BROKEN: \(what)")
    }

    /// A part could not be played to its end.
    func failed(_ error: any Error) {
        tally.withLock { $0.failures += 1 }
        say("director", "\(error)")
    }

    func killed() {
        tally.withLock { $0.nodesKilled += 1 }
    }

    func waits(_ name: String) {
        tally.withLock { _ = $0.waiting.insert(name) }
    }

    /// To be called whether or not the wait had success.
    func waitsNoMore(_ name: String) {
        tally.withLock { _ = $0.waiting.remove(name) }
    }

    func holds(_ name: String, token: Int64, waited: Duration) {
        waitsNoMore(name)
        let others = counts.waiting.sorted().joined(separator: ", ")
        let audience = others.isEmpty ? "nobody waits" : "waiting: \(others)"
        say(name, "holds the lock, token \(token), after \(waited.forPeople); \(audience)")
    }

    func wrote(_ name: String, _ number: Int) {
        tally.withLock { $0.accepted += 1 }
        say(name, "wrote \(number) and releases")
    }

    func wasRefused(_ name: String, token: Int64, last: Int64) {
        tally.withLock { $0.refused += 1 }
        say(name, "writes late: REFUSED, its token \(token) is older than \(last)")
    }

    func lostLease(_ name: String, _ what: String) {
        tally.withLock { $0.lost += 1 }
        say(name, what)
    }

    private func coloured(_ name: String) -> String {
        let width = padded(name, to: 8, right: false)
        guard colours else { return width }
        // One of the six colours that are legible on light and dark.
        let colour = 31 + name.utf8.reduce(0) { $0 + Int($1) } % 6
        return "\u{1B}[\(colour)m\(width)\u{1B}[0m"
    }

    private func padded(_ text: String, to width: Int, right: Bool) -> String {
        let padding = String(repeating: " ", count: max(0, width - text.count))
        return right ? padding + text : text + padding
    }
}
