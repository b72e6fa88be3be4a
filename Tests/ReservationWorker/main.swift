import Foundation

// A process that works on a store, for tests that need several, and kill them.
// Whoever is written to may just have been killed.
signal(SIGPIPE, SIG_IGN)
let arguments = Array(CommandLine.arguments.dropFirst())

switch arguments.first {
case "open" where arguments.count >= 2:
    Parent.follow()
    await SQLiteFile.open(arguments[1], asNobody: arguments.last == "nobody")
case "hang" where arguments.count == 2:
    Parent.follow()
    try await SQLiteFile.hang(arguments[1])
case "buy" where arguments.count == 4:
    Parent.follow()
    try await SQLiteFile.buy(arguments[1], name: arguments[2], items: Int(arguments[3]) ?? 1)
case "hostile-environment" where arguments.count == 2:
    Parent.follow()
    try await HostileEnvironment.run(arguments[1])
case "torture-buyer":
    Parent.follow()
    try await Buyer(arguments.dropFirst()).run()
case "line-owner":
    Parent.follow()
    try await LineOwner.run(arguments.dropFirst())
case "line-steps":
    exit(try await LineSteps.run(arguments.dropFirst()) ? 0 : 1)
case "torture":
    exit(try await Torture.run(arguments.dropFirst()) ? 0 : 1)
case "compare":
    exit(try await Comparison(arguments.dropFirst()).run() ? 0 : 1)
default:
    say(
        """
        usage: reservation-worker torture [--store postgresql|sqlite] [--line yes] [--seconds N] [--workers N]
                   [--mutant fence|failing|forgetful|twice]
               reservation-worker line-steps [--store postgresql|sqlite]
               reservation-worker compare [--seconds N] [--pgbench PATH]
               (and what tests start: line-owner, open, hang, buy, hostile-environment, torture-buyer)
        """)
    exit(64)
}
