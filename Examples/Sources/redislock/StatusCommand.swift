import ArgumentParser
import RedislockKit

struct StatusCommand: Operation {
    static let configuration = CommandConfiguration(
        commandName: "status",
        abstract: "Says whether a lock is held, for how long, and its last fencing token. Changes nothing.",
        discussion: """
            A table with a line for each node, and what the majority says. A node that does
            not vote yet (see --maximum-ttl) may have forgotten a lock: that it knows of
            none says nothing.

            EXIT STATUS
              0   the question was answered, whether the lock is held or free
              64  bad arguments
              69  Redis cannot be reached, or too few nodes answer or vote to tell
              78  Redis refuses the credentials or lacks a permission

            With --json, one object on stdout:
              { "key": "nightly", "state": "held" | "free" | "unknown",
                "nodes": [ { "node": "redis://host:6379", "state": "held",
                             "remaining_ms": 7412 | null,
                             "fence": 1795476033000001 | null,
                             "quarantine_ms": 58210 | null,
                             "problem": "why it could not be asked" | null } ] }
            quarantine_ms: for how long the node does not vote yet; null when it votes.
            """
    )

    @OptionGroup var nodes: NodeOptions
    @OptionGroup var fleet: FleetOptions
    @OptionGroup var lock: KeyOption

    @Flag(help: "Answer in JSON.")
    var json = false

    @OptionGroup var log: VerboseFlag

    func prepare() throws -> Job {
        let set = try nodes.nodeSet(fleet)
        let shot = OneShot(nodes: set, logger: log.logger(for: set))
        return Job(run: { [key = lock.key, json] in await shot.status(of: key, asJSON: json) })
    }
}
