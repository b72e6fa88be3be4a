/// Finds where RESP2 frames end, so that a stream of bytes can be taken apart without being changed.
///
/// Throws away nothing and remembers nothing: a frame that has not come completely is looked at again when more is there.
enum RESPFrame {
    /// The arguments of the request at the start of `bytes` and how many bytes it takes; `nil` while it is incomplete.
    static func request(_ bytes: ArraySlice<UInt8>) throws(TestSupportError) -> (arguments: [String], length: Int)? {
        guard let header = try number(in: bytes, after: UInt8(ascii: "*")) else { return nil }
        var rest = bytes.dropFirst(header.length)
        var arguments: [String] = []
        for _ in 0..<header.value {
            guard let size = try number(in: rest, after: UInt8(ascii: "$")) else { return nil }
            rest = rest.dropFirst(size.length)
            guard size.value >= 0, rest.count >= size.value + 2 else { return nil }
            arguments.append(String(decoding: rest.prefix(size.value), as: UTF8.self))
            rest = rest.dropFirst(size.value + 2)
        }
        return (arguments, bytes.count - rest.count)
    }

    /// How many bytes the reply at the start of `bytes` takes; `nil` while it is incomplete.
    static func replyLength(_ bytes: ArraySlice<UInt8>) throws(TestSupportError) -> Int? {
        var rest = bytes
        var missing = 1
        while missing > 0 {
            guard let type = rest.first, let end = rest.firstIndex(of: UInt8(ascii: "\n")) else { return nil }
            missing -= 1
            if type == UInt8(ascii: "$") || type == UInt8(ascii: "*") {
                guard let header = try number(in: rest, after: type) else { return nil }
                rest = rest.dropFirst(header.length)
                if type == UInt8(ascii: "*") {
                    missing += max(header.value, 0)
                } else if header.value >= 0 {
                    guard rest.count >= header.value + 2 else { return nil }
                    rest = rest.dropFirst(header.value + 2)
                }
            } else {
                rest = rest[(end + 1)...]
            }
        }
        return bytes.count - rest.count
    }

    private static func number(
        in bytes: ArraySlice<UInt8>, after type: UInt8
    ) throws(TestSupportError) -> (value: Int, length: Int)? {
        guard let first = bytes.first else { return nil }
        guard first == type else { throw TestSupportError("That is no RESP2.") }
        guard let end = bytes.firstIndex(of: UInt8(ascii: "\n")) else { return nil }
        guard let value = Int(String(decoding: bytes[(bytes.startIndex + 1)..<end].dropLast(), as: UTF8.self)) else {
            throw TestSupportError("That is no RESP2.")
        }
        return (value, end + 1 - bytes.startIndex)
    }
}
