/// What an error says about the command that met it. The rows of the lock protocol's error table.
package enum RedisOutcome: Sendable, Equatable {
    /// The command certainly had no effect; trying again later may help.
    case notApplied
    /// The command may or may not have had its effect.
    case ambiguous
    /// The command had no effect and will have none until somebody changes a configuration: trying again is useless.
    case misconfigured
}

/// An error that the server replied with.
package struct RedisServerError: Error, Sendable, Equatable, CustomStringConvertible {
    /// The reply's first word: `ERR`, `MOVED`, `NOSCRIPT`, `OOM`...
    package let code: String
    /// The whole reply, code included: printable ASCII, at most ``maximumLength`` characters.
    package let message: String

    package static let maximumLength = 256

    /// - Parameter line: the reply's bytes, without the leading `-`. Whatever could break a log line becomes `?`.
    package init(line: some Sequence<UInt8>) {
        var text = line.prefix(Self.maximumLength).map { (0x20...0x7E).contains($0) ? $0 : UInt8(ascii: "?") }
        if text.isEmpty { text = Array("ERR".utf8) }
        message = String(decoding: text, as: UTF8.self)
        code = String(decoding: text.prefix { $0 != UInt8(ascii: " ") }, as: UTF8.self)
    }

    package init(_ line: String) {
        self.init(line: line.utf8)
    }

    package var description: String { message }

    /// What the server's refusal says about the command it answers.
    package var outcome: RedisOutcome {
        switch code {
        case "MOVED", "ASK", "TRYAGAIN", "CLUSTERDOWN", "READONLY", "REDIRECT", "MASTERDOWN", "LOADING", "NOREPLICAS",
            "MISCONF", "OOM", "BUSY", "NOSCRIPT":
            .notApplied
        case "NOAUTH", "WRONGPASS", "NOPERM", "DENIED", "WRONGTYPE", "CORRUPT", "EXHAUSTED", "CROSSSLOT", "NOPROTO",
            "EXECABORT":
            .misconfigured
        case "ERR":
            genericOutcome
        default:
            // UNBLOCKED among them: the write before it may be lost with the role.
            .ambiguous
        }
    }

    /// `ERR` says nothing; the text that follows is all there is to go by.
    private var genericOutcome: RedisOutcome {
        if message.hasPrefix("ERR max number of clients") { return .notApplied }
        let misconfigurations = [
            "ERR unknown command", "ERR unknown subcommand", "ERR Unknown subcommand", "ERR wrong number of arguments",
            "ERR invalid password", "ERR AUTH ", "ERR Client sent AUTH", "ERR DB index", "ERR invalid DB index",
            "ERR SELECT is not allowed", "ERR The user executing the script", "ERR operation not permitted",
        ]
        if misconfigurations.contains(where: message.hasPrefix) { return .misconfigured }
        return message.contains("ACL failure in script") ? .misconfigured : .ambiguous
    }

    /// Whether the server refused who we are, rather than what we asked.
    package var isAuthenticationFailure: Bool {
        ["NOAUTH", "WRONGPASS"].contains(code)
            || ["ERR invalid password", "ERR AUTH ", "ERR Client sent AUTH"].contains(where: message.hasPrefix)
    }
}
