/// Finds where requests and replies of PostgreSQL's protocol end, so that a stream of bytes can be taken apart without being
/// changed.
///
/// A request is what a client sends up to a synchronization, and a reply what the server says up to `ReadyForQuery`. Of
/// logins it knows those without a password; of encryption, that the server refuses it.
struct PostgreSQLFrames {
    enum Answer {
        /// Whether the server encrypts, in one byte.
        case letter
        case untilReady
        case none
    }

    struct Request {
        /// The statements' texts, and their parameters.
        var arguments: [String] = []
        var length = 0
        var answer = Answer.untilReady
    }

    private var isStarting = true
    /// The texts that were given a name.
    private var prepared: [String: String] = [:]

    /// The request at the start of `bytes`; `nil` while it is incomplete.
    mutating func request(_ bytes: ArraySlice<UInt8>) throws(TestSupportError) -> Request? {
        if isStarting { return try start(bytes) }
        var rest = bytes
        var request = Request()
        while let (type, body) = try Self.message(rest) {
            rest = rest.dropFirst(body.count + 5)
            request.length = bytes.count - rest.count
            switch type {
            case UInt8(ascii: "P"):
                let texts = Self.texts(body, 2)
                prepared[texts[0]] = texts[1]
            case UInt8(ascii: "B"): request.arguments += bound(body)
            case UInt8(ascii: "S"), UInt8(ascii: "Q"): return request
            case UInt8(ascii: "X"):
                request.answer = .none
                return request
            default: break
            }
        }
        return nil
    }

    /// How many bytes the reply at the start of `bytes` takes; `nil` while it is incomplete.
    static func replyLength(_ bytes: ArraySlice<UInt8>, as answer: Answer) throws(TestSupportError) -> Int? {
        guard case .untilReady = answer else { return bytes.isEmpty ? nil : 1 }
        var rest = bytes
        while let (type, body) = try message(rest) {
            rest = rest.dropFirst(body.count + 5)
            if type == UInt8(ascii: "Z") { return bytes.count - rest.count }
        }
        return nil
    }

    private mutating func start(_ bytes: ArraySlice<UInt8>) throws(TestSupportError) -> Request? {
        guard bytes.count >= 8 else { return nil }
        let length = Self.number(bytes.prefix(4))
        guard (8...10_000).contains(length) else { throw TestSupportError("That is not PostgreSQL's protocol.") }
        guard bytes.count >= length else { return nil }
        switch Self.number(bytes.dropFirst(4).prefix(4)) {
        case 80_877_102: return Request(arguments: ["cancel"], length: length, answer: .none)
        case 80_877_103, 80_877_104: return Request(arguments: ["encrypt"], length: length, answer: .letter)
        default:
            isStarting = false
            return Request(arguments: ["login"], length: length)
        }
    }

    /// The portal's name, the statement's, formats of two bytes each, and then the parameters.
    private func bound(_ body: ArraySlice<UInt8>) -> [String] {
        let names = Self.texts(body, 2)
        var rest = body.dropFirst(names[0].utf8.count + names[1].utf8.count + 2)
        rest = rest.dropFirst(2 + 2 * Self.number(rest.prefix(2)))
        var arguments = [prepared[names[1]] ?? ""]
        let count = Self.number(rest.prefix(2))
        rest = rest.dropFirst(2)
        for _ in 0..<count {
            let size = Self.number(rest.prefix(4))
            rest = rest.dropFirst(4)
            guard size != 0xFFFF_FFFF else { continue }
            arguments.append(String(decoding: rest.prefix(size), as: UTF8.self))
            rest = rest.dropFirst(size)
        }
        return arguments
    }

    private static func message(
        _ bytes: ArraySlice<UInt8>
    ) throws(TestSupportError) -> (type: UInt8, body: ArraySlice<UInt8>)? {
        guard let type = bytes.first, bytes.count >= 5 else { return nil }
        let length = number(bytes.dropFirst().prefix(4))
        guard length >= 4 else { throw TestSupportError("That is not PostgreSQL's protocol.") }
        guard bytes.count >= length + 1 else { return nil }
        return (type, bytes.dropFirst(5).prefix(length - 4))
    }

    /// The first `count` texts, each of which ends with a zero.
    private static func texts(_ body: ArraySlice<UInt8>, _ count: Int) -> [String] {
        let parts = body.split(separator: 0, maxSplits: count, omittingEmptySubsequences: false)
        return (0..<count).map { $0 < parts.count ? String(decoding: parts[$0], as: UTF8.self) : "" }
    }

    private static func number(_ bytes: ArraySlice<UInt8>) -> Int {
        bytes.reduce(0) { $0 << 8 | Int($1) }
    }
}
