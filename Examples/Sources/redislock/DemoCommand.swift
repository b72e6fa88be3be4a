import ArgumentParser
import RedislockKit

struct DemoCommand: Operation {
    static let configuration = CommandConfiguration(
        commandName: "demo",
        abstract: "Shows live contention for one lock, and what happens when a holder freezes or loses it.",
        discussion: """
            Three tasks with connections of their own and one separate process add to a
            number under one lock. One holder is frozen past its lease and tries to
            write late; another has its lock broken. The summary says whether an update
            was lost. The key is random; all that stays is its fencing counter, which
            expires.

            EXIT STATUS
              0 when no update was lost and all tokens rose, 1 when not; else as for run.
            """
    )

    @OptionGroup var nodes: NodeOptions

    @Option(help: "How long it takes, about: 3 to 3600.")
    var seconds = 60

    func validate() throws {
        guard (3...3600).contains(seconds) else { throw ValidationError("--seconds must be between 3 and 3600") }
    }

    func prepare() throws -> Job {
        let demo = Demo(
            node: try nodes.url(), allowPlaintextPassword: nodes.allowPlaintextPassword, duration: .seconds(seconds))
        return Job(run: { await demo.run() }, receive: { signal, _ in demo.interrupt(signal) })
    }
}
