/// A Lua script and the name that the server knows it by.
///
/// The digest is computed here rather than taken from `SCRIPT LOAD`'s reply: it must be known before the first
/// connection exists, must not depend on what a server says, and costs some fifty lines.
package struct RedisScript: Sendable, Hashable {
    package let source: String
    /// SHA-1 of the source, 40 lower-case hexadecimal digits.
    package let sha1: String

    package init(source: String) {
        self.source = source
        sha1 = SHA1.hexadecimalDigest(of: Array(source.utf8))
    }

    /// What puts the script into the server's cache; normally part of a ``Preamble``.
    package var loadCommand: RedisCommand { RedisCommand("SCRIPT", "LOAD", source) }

    package func command(bySource: Bool, keys: [String], arguments: [String]) -> RedisCommand {
        var command = RedisCommand(verb: bySource ? "EVAL" : "EVALSHA")
        command.append(bySource ? source : sha1)
        command.append(keys.count)
        for key in keys { command.append(key) }
        for argument in arguments { command.append(argument) }
        return command
    }

    package static func == (left: RedisScript, right: RedisScript) -> Bool { left.sha1 == right.sha1 }

    package func hash(into hasher: inout Hasher) { hasher.combine(sha1) }
}
