/// Takes a URL apart. Never quotes what it was given, except parts that cannot hold a secret.
struct RedisURLParser {
    private let text: String

    init(_ text: String) {
        self.text = text
    }

    /// `sun_path` holds 104 bytes on macOS, 108 on Linux, the final zero included.
    private static let maximumPathLength = 103

    func parse() throws(RedisError) -> RedisURL {
        guard let separator = text.firstRange(of: "://") else {
            throw invalid("has no scheme; write redis://host:port or unix:///path")
        }
        let rest = text[separator.upperBound...]
        switch text[..<separator.lowerBound].lowercased() {
        case "redis": return try parseTCP(rest)
        case "unix", "redis+unix", "redis+socket": return try parseUnix(rest)
        case "rediss", "valkeys":
            throw RedisError(
                .unsupportedTLS,
                "rediss:// needs TLS, which this build does not have; use redis:// through a tunnel, or unix://.")
        case "valkey": return try parseTCP(rest)
        default: throw invalid("has an unknown scheme; use redis:// or unix://")
        }
    }

    private func parseTCP(_ rest: Substring) throws(RedisError) -> RedisURL {
        guard !rest.contains("?") && !rest.contains("#") else {
            throw invalid("has a query or fragment, which redis:// has no use for")
        }
        let authorityEnd = rest.lastIndex(of: "@").map { rest[$0...].firstIndex(of: "/") ?? rest.endIndex }
        let slash = authorityEnd ?? rest.firstIndex(of: "/") ?? rest.endIndex
        let (user, password, address) = try credentials(in: rest[..<slash])
        let (host, port) = try hostAndPort(address)
        let path = rest[slash...].dropFirst()
        let database = path.isEmpty ? 0 : try number(path, "database", in: 0...1_000_000)
        return RedisURL(
            endpoint: .tcp(host: host, port: port), user: user, password: password, database: database)
    }

    private func parseUnix(_ rest: Substring) throws(RedisError) -> RedisURL {
        let pieces = rest.split(separator: "?", maxSplits: 1, omittingEmptySubsequences: false)
        let (user, password, encodedPath) = try credentials(in: pieces[0])
        let path = try decode(encodedPath, "path")
        guard path.hasPrefix("/") else { throw invalid("has no absolute path; write unix:///path/to.sock") }
        guard path.utf8.count <= Self.maximumPathLength else {
            throw invalid("has a socket path longer than \(Self.maximumPathLength) bytes")
        }
        var database = 0
        for parameter in pieces.count > 1 ? pieces[1].split(separator: "&") : [] {
            guard parameter.hasPrefix("db=") else { throw invalid("has a query parameter other than db") }
            database = try number(parameter.dropFirst(3), "database", in: 0...1_000_000)
        }
        return RedisURL(endpoint: .unix(path: path), user: user, password: password, database: database)
    }

    private func credentials(
        in authority: Substring
    ) throws(RedisError) -> (user: String?, password: String?, rest: Substring) {
        guard let at = authority.lastIndex(of: "@") else { return (nil, nil, authority) }
        let pieces = authority[..<at].split(separator: ":", maxSplits: 1, omittingEmptySubsequences: false)
        let user = try decode(pieces[0], "user")
        let password = pieces.count > 1 ? try decode(pieces[1], "password") : nil
        guard user.isEmpty || password != nil else {
            throw invalid("has a user but no password; write user:password@ or :password@")
        }
        let rest = authority[authority.index(after: at)...]
        return (user.isEmpty ? nil : user, password?.isEmpty == true && user.isEmpty ? nil : password, rest)
    }

    private func hostAndPort(_ address: Substring) throws(RedisError) -> (String, Int) {
        let host: String
        let rest: Substring
        if address.hasPrefix("[") {
            guard let bracket = address.firstIndex(of: "]") else { throw invalid("has a host with no closing bracket") }
            host = try decode(address[..<bracket].dropFirst(), "host")
            guard host.contains(":") else { throw invalid("has brackets around a host that is no IPv6 address") }
            rest = address[bracket...].dropFirst()
        } else {
            let colon = address.firstIndex(of: ":") ?? address.endIndex
            host = try decode(address[..<colon], "host")
            rest = address[colon...]
        }
        guard !host.isEmpty else { throw invalid("has no host") }
        guard host.utf8.allSatisfy({ $0 > 0x20 && $0 != 0x7F }) else { throw invalid("has a host with odd characters") }
        guard !rest.isEmpty else { return (host, 6379) }
        guard rest.hasPrefix(":") else { throw invalid("has something between its host and its port") }
        return (host, try number(rest.dropFirst(), "port", in: 1...65_535))
    }

    private func number(
        _ digits: Substring, _ part: String, in range: ClosedRange<Int>
    ) throws(RedisError) -> Int {
        guard let value = Int(digits), range.contains(value), digits.utf8.allSatisfy({ $0 >= 0x30 && $0 <= 0x39 })
        else {
            throw invalid("has a \(part) that is no number from \(range.lowerBound) to \(range.upperBound)")
        }
        return value
    }

    private func decode(_ encoded: Substring, _ part: String) throws(RedisError) -> String {
        var bytes: [UInt8] = []
        var rest = encoded.utf8[...]
        while let byte = rest.popFirst() {
            guard byte == UInt8(ascii: "%") else {
                bytes.append(byte)
                continue
            }
            guard rest.count >= 2, let digits = String(rest.prefix(2)), let value = UInt8(digits, radix: 16),
                digits.first != "+"
            else { throw invalid("has a broken percent-encoding in its \(part)") }
            bytes.append(value)
            rest = rest.dropFirst(2)
        }
        guard let decoded = String(validating: bytes, as: UTF8.self), !decoded.utf8.contains(0) else {
            throw invalid("has a \(part) that is no UTF-8 text")
        }
        return decoded
    }

    private func invalid(_ trouble: String) -> RedisError {
        RedisError(.invalidURL, "The Redis URL \(trouble).")
    }
}
