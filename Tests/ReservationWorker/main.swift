import Foundation

// A process that works on a store, for tests that need several, and kill them.
let arguments = Array(CommandLine.arguments.dropFirst())

// Ends with its parent, however that ends: the kernel closes the pipe.
Thread.detachNewThread {
    while !FileHandle.standardInput.availableData.isEmpty {}
    exit(3)
}

switch arguments.first {
case "open" where arguments.count >= 2: await SQLiteFile.open(arguments[1], asNobody: arguments.last == "nobody")
case "hang" where arguments.count == 2: try await SQLiteFile.hang(arguments[1])
case "buy" where arguments.count == 4:
    try await SQLiteFile.buy(arguments[1], name: arguments[2], items: Int(arguments[3]) ?? 1)
default:
    say("usage: reservation-worker open PATH [nobody] | hang PATH | buy PATH NAME ITEMS")
    exit(64)
}
