/// Where a server is and who we are there.
///
/// - `redis://[user[:password]@]host[:port][/db]`, IPv6 hosts in brackets; port 6379 and database 0 by default.
/// - `unix://[user[:password]@]/path/to.sock[?db=N]`.
/// - A user part without a colon is a user without a password; `:password@` is a password without a user. Everything
///   but the port may be percent-encoded.
package struct RedisURL: Sendable, Hashable, CustomStringConvertible, CustomReflectable {
    package enum Endpoint: Sendable, Hashable {
        case tcp(host: String, port: Int)
        case unix(path: String)
    }

    package let endpoint: Endpoint
    package let user: String?
    package let password: String?
    package let database: Int

    package init(endpoint: Endpoint, user: String? = nil, password: String? = nil, database: Int = 0) {
        self.endpoint = endpoint
        self.user = user
        self.password = password
        self.database = database
    }

    /// - Throws: ``RedisError`` `invalidURL` (names the part), `unsupportedTLS`.
    package init(_ text: String) throws(RedisError) {
        self = try RedisURLParser(text).parse()
    }

    /// Where the server is, without who we are: `redis://host:port/db` or `unix:///path?db=N`.
    package var description: String {
        let credentials = user == nil && password == nil ? "" : "***@"
        switch endpoint {
        case .tcp: return "redis://\(credentials)\(location)/\(database)"
        case .unix: return "unix://\(credentials)\(location)\(database == 0 ? "" : "?db=\(database)")"
        }
    }

    package var customMirror: Mirror { Mirror(self, children: ["description": description]) }

    /// The host and port, or the path.
    package var location: String {
        switch endpoint {
        case .tcp(let host, let port): host.contains(":") ? "[\(host)]:\(port)" : "\(host):\(port)"
        case .unix(let path): path
        }
    }

    /// Whether bytes sent there stay on this machine. A name other than `localhost` may resolve to anything.
    package var isLocal: Bool {
        switch endpoint {
        case .unix: true
        case .tcp(let host, _):
            host.lowercased() == "localhost" || host == "::1"
                || (host.hasPrefix("127.") && host.split(separator: ".").count == 4
                    && host.split(separator: ".").allSatisfy { UInt8($0) != nil })
        }
    }

    /// Refuses to send a password over a network in the clear, unless told that it may.
    package func checkCredentials(unsafeAllowPlaintextPasswords: Bool) throws(RedisError) {
        guard password != nil, !isLocal, !unsafeAllowPlaintextPasswords else { return }
        throw RedisError(
            .insecureCredentials,
            "The password for \(location) would cross the network unencrypted; use a tunnel or a unix socket, or set "
                + "unsafeAllowPlaintextPasswords if that network is trusted.")
    }
}
