/// One command: a verb and its arguments, as bytes.
///
/// Arguments are stored one behind the other, so that building a command costs two allocations however many it has.
/// Its description is the verb alone: arguments hold owner values and passwords.
package struct RedisCommand: Sendable, Equatable, CustomStringConvertible, CustomReflectable {
    private(set) var bytes: [UInt8] = []
    /// Where each argument ends in `bytes`.
    private(set) var ends: [Int] = []

    /// - Parameter verb: the command's name, such as `GET`.
    package init(verb: String) {
        append(verb)
    }

    package init(_ verb: String, _ arguments: String...) {
        append(verb)
        for argument in arguments { append(argument) }
    }

    /// - Precondition: `arguments` is not empty.
    package init(arguments: [[UInt8]]) {
        precondition(!arguments.isEmpty, "A Redis command needs at least its verb.")
        for argument in arguments { append(bytes: argument) }
    }

    package mutating func append(_ argument: String) {
        bytes.append(contentsOf: argument.utf8)
        ends.append(bytes.count)
    }

    package mutating func append(_ argument: some BinaryInteger) {
        append(String(argument))
    }

    package mutating func append(bytes argument: some Sequence<UInt8>) {
        bytes.append(contentsOf: argument)
        ends.append(bytes.count)
    }

    /// How many arguments there are, the verb included.
    package var count: Int { ends.count }

    package func argument(_ index: Int) -> ArraySlice<UInt8> {
        bytes[(index == 0 ? 0 : ends[index - 1])..<ends[index]]
    }

    /// The verb, as it was given.
    package var name: String { String(decoding: argument(0), as: UTF8.self) }

    package var description: String { name }

    /// Nothing but the verb, lest a dump of something that holds a command show its arguments.
    package var customMirror: Mirror { Mirror(self, children: ["name": name]) }

    /// Commands that would change what the replies on a shared connection mean.
    private static let connectionState: [String] = [
        "SUBSCRIBE", "PSUBSCRIBE", "SSUBSCRIBE", "UNSUBSCRIBE", "PUNSUBSCRIBE", "SUNSUBSCRIBE", "MONITOR", "HELLO",
        "QUIT", "RESET", "SYNC", "PSYNC",
    ]

    /// Whether this command must not run on a shared connection: replies would no longer come one per command.
    var changesReplies: Bool {
        guard let first = bytes.first else { return false }
        switch first & 0xDF {
        case UInt8(ascii: "S"), UInt8(ascii: "P"), UInt8(ascii: "U"), UInt8(ascii: "M"), UInt8(ascii: "H"),
            UInt8(ascii: "Q"), UInt8(ascii: "R"):
            return Self.connectionState.contains { matches($0, at: 0) }
        case UInt8(ascii: "C"):
            return count > 1 && matches("CLIENT", at: 0) && matches("REPLY", at: 1)
        default:
            return false
        }
    }

    private func matches(_ word: String, at index: Int) -> Bool {
        let argument = argument(index)
        guard argument.count == word.utf8.count else { return false }
        return zip(argument, word.utf8).allSatisfy { $0 & 0xDF == $1 }
    }

    /// Lends pointers to the arguments to `body`, which must not keep them.
    func withArgumentPointers<Result>(
        _ body: (UnsafeMutablePointer<UnsafePointer<CChar>?>, UnsafePointer<Int>, CInt) -> Result
    ) -> Result {
        bytes.withUnsafeBytes { bytes in
            withUnsafeTemporaryAllocation(of: UnsafePointer<CChar>?.self, capacity: count + 1) { pointers in
                withUnsafeTemporaryAllocation(of: Int.self, capacity: count + 1) { lengths in
                    // hiredis wants an address even for an empty argument; any will do, since it reads no byte there.
                    let base = bytes.baseAddress ?? UnsafeRawPointer(pointers.baseAddress.unsafelyUnwrapped)
                    var start = 0
                    for (index, end) in ends.enumerated() {
                        pointers[index] = (base + start).assumingMemoryBound(to: CChar.self)
                        lengths[index] = end - start
                        start = end
                    }
                    return body(
                        pointers.baseAddress.unsafelyUnwrapped, lengths.baseAddress.unsafelyUnwrapped, CInt(count))
                }
            }
        }
    }
}
