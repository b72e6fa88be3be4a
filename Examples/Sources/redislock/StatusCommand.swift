import ArgumentParser
import RedislockKit

struct StatusCommand: Operation {
    static let configuration = CommandConfiguration(
        commandName: "status",
        abstract: "Says whether a lock is held, for how long, and its last fencing token. Changes nothing.",
        discussion: """
            EXIT STATUS
              0   the question was answered, whether the lock is held or free
              64  bad arguments
              69  Redis cannot be reached
              78  Redis refuses the credentials or lacks a permission

            With --json, one object on stdout:
              { "key": "nightly", "state": "held" | "free" | "unknown",
                "nodes": [ { "node": "redis://host:6379", "state": "held",
                             "remaining_ms": 7412 | null,
                             "fence": 1795476033000001 | null,
                             "problem": "why it could not be asked" | null } ] }
            """
    )

    @OptionGroup var nodes: NodeOptions
    @OptionGroup var lock: KeyOption

    @Flag(help: "Answer in JSON.")
    var json = false

    @OptionGroup var log: VerboseFlag

    func prepare() throws -> Job {
        let shot = OneShot(
            node: try nodes.url(), allowPlaintextPassword: nodes.allowPlaintextPassword, logger: log.logger)
        return Job(run: { [key = lock.key, json] in await shot.status(of: key, asJSON: json) })
    }
}
