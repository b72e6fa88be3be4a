import ArgumentParser
import RedislockKit

struct InitCommand: Operation {
    static let configuration = CommandConfiguration(
        commandName: "init",
        abstract: "Tells new nodes of a quorum that they are new, so that they vote at once.",
        discussion: """
            Among several nodes, one without a record of its own (redis-locks:boot) may
            have forgotten locks that are still held, and does not vote for a little
            longer than --maximum-ttl. For nodes that never voted this writes the record:
            once, when the fleet is set up. It asks nothing.

            Nothing is changed when any of the nodes holds fencing counters or cannot be
            asked: then the fleet has voted, and a node without counters has lost them.
            Give it the time instead. With --force all are initialized all the same: only
            if you know that nobody holds a lock. To look for counters it needs SCAN, which
            nothing else here does. One line on stdout for each node.

            EXIT STATUS
              0   all nodes vote
              64  bad arguments
              69  a node could not be reached; without --force no other was changed
              78  a node holds fencing counters, or refuses the credentials or a command;
                  without --force no other was changed
            """
    )

    @OptionGroup var nodes: NodeOptions

    @Flag(help: "Initialize nodes that hold fencing counters, too. Only when nobody holds a lock.")
    var force = false

    @OptionGroup var log: VerboseFlag

    func prepare() throws -> Job {
        let set = try nodes.nodeSet()
        let shot = OneShot(nodes: set, logger: log.logger(for: set))
        return Job(run: { [force] in await shot.initialize(force: force) })
    }
}
