import ArgumentParser
import RedislockKit

struct DemoCommand: Operation {
    static let configuration = CommandConfiguration(
        commandName: "demo",
        abstract: "Shows live contention for one lock, and what happens when holders and nodes fail.",
        discussion: """
            Three tasks with connections of their own and one separate process add to a
            number under one lock. One holder is frozen past its lease and tries to
            write late; another has its lock broken. The summary says whether an update
            was lost. The key is random; all that stays is its fencing counter, which
            expires.

            Without --node and REDISLOCK_NODES it starts private Redis servers, gone in
            the end, and also shows a node dying under a held lease, a majority dying,
            and nodes that come back without their data. Nodes that were given to it are
            only used.

            EXIT STATUS
              0 when no update was lost, all tokens rose and everything went as promised,
              1 when not; else as for run.
            """
    )

    @OptionGroup var nodes: NodeOptions

    @Option(
        name: .customLong("private"),
        help: ArgumentHelp("Start this many private Redis servers: 3 to 9; default 5.", valueName: "number"))
    var privateServers: Int?

    @Option(help: "How long it takes, about: 3 to 3600. With private servers at least about 20.")
    var seconds = 60

    @OptionGroup var fleet: FleetOptions

    func validate() throws {
        guard (3...3600).contains(seconds) else { throw ValidationError("--seconds must be between 3 and 3600") }
        if let privateServers {
            guard (3...9).contains(privateServers) else { throw ValidationError("--private must be between 3 and 9") }
            guard nodes.nodes.isEmpty, fleet.isDefault else {
                throw ValidationError(
                    "--private is for servers of the demonstration's own: leave out options about nodes")
            }
        }
    }

    func prepare() throws -> Job {
        let given = nodes.nodes + NodeList.list(Console.environment(NodeList.variable))
        let source: Demo.Nodes =
            if privateServers != nil || given.isEmpty {
                .started(privateServers ?? 5)
            } else {
                .given(try nodes.nodeSet(fleet))
            }
        let demo = Demo(source, duration: .seconds(seconds))
        return Job(run: { await demo.run() }, receive: { signal, _ in demo.interrupt(signal) })
    }
}
