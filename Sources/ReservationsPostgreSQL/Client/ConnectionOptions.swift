import CLibPQ

#if canImport(Darwin)
    import Darwin
#elseif canImport(Glibc)
    import Glibc
#elseif canImport(Musl)
    import Musl
#endif

/// Where the server is and how to log in, as a URL or as `keyword=value` pairs say it.
package struct ConnectionOptions: Sendable {
    struct Host: Sendable, Hashable {
        /// A name, an address, or the folder of a Unix socket; empty for libpq's default socket.
        let name: String
        let port: String

        var isSocket: Bool { name.isEmpty || name.hasPrefix("/") || name.hasPrefix("@") }
    }

    let hosts: [Host]
    /// libpq's keywords, without those of the place.
    let keywords: [String: String]
    /// The addresses are given: there is nothing to look up.
    private let addresses: [String]?

    /// What a caller may set. Not among them: what this client decides (`client_encoding`, `connect_timeout`, `options`),
    /// what would change the protocol (`replication`), and `service`, whose file may set any of these.
    private static let allowed: Set<String> = [
        "host", "hostaddr", "port", "dbname", "user", "password", "passfile", "application_name", "channel_binding",
        "sslmode", "sslrootcert", "sslcert", "sslkey", "sslpassword", "sslcrl", "sslcrldir", "sslsni", "requirepeer",
        "ssl_min_protocol_version", "ssl_max_protocol_version", "gssencmode", "krbsrvname", "gsslib",
        "target_session_attrs", "keepalives", "keepalives_idle", "keepalives_interval", "keepalives_count",
        "tcp_user_timeout",
    ]

    /// - Parameter url: `postgresql://user:password@host:port/database?sslmode=verify-full`, or libpq's other form.
    /// - Throws: ``DatabaseError/Code/invalidURL`` with a sentence that does not quote the URL: it holds a password.
    package init(_ url: String) throws(DatabaseError) {
        // libpq follows it whatever else it is told, into a file that may say anything.
        guard getenv("PGSERVICE") == nil else {
            throw DatabaseError(.invalidURL, "The environment sets PGSERVICE, which is not supported here: unset it.")
        }
        var given = try Self.parse(url)
        if let bad = given.keys.filter({ !Self.allowed.contains($0) }).min() {
            throw DatabaseError(.invalidURL, "The database URL sets `\(bad)`, which is not supported here.")
        }
        let host = given.removeValue(forKey: "host")
        let address = given.removeValue(forKey: "hostaddr")
        let names = Self.list(host ?? (address == nil ? Self.default("host") : nil) ?? "")
        let ports = Self.list(given.removeValue(forKey: "port") ?? Self.default("port") ?? "")
        let numeric = address.map(Self.list)
        let count = max(names.count, numeric?.count ?? 1)
        guard names.count == 1 || names.count == count, ports.count == 1 || ports.count == count,
            numeric == nil || numeric?.count == count
        else {
            throw DatabaseError(.invalidURL, "The database URL's hosts, addresses and ports do not match in number.")
        }
        for port in ports where !port.isEmpty {
            guard let number = Int(port), (1...65_535).contains(number) else {
                throw DatabaseError(.invalidURL, "The database URL's port is no number from 1 to 65535.")
            }
        }
        hosts = (0..<count).map {
            Host(name: names.count == 1 ? names[0] : names[$0], port: ports.count == 1 ? ports[0] : ports[$0])
        }
        addresses = numeric
        keywords = given.merging(Self.defaults) { given, _ in given }
    }

    /// Kerberos would be asked over the network, and blockingly.
    private static let defaults = ["gssencmode": "disable", "application_name": "swift-redis-locks"]

    /// The names that must be looked up before libpq may be called, which would do it blockingly.
    var namesToResolve: [String] {
        addresses == nil ? hosts.map(\.name).filter { !$0.isEmpty && !$0.hasPrefix("/") && !$0.hasPrefix("@") } : []
    }

    /// For messages: no user and no password.
    package var location: String {
        let places = hosts.map { host in
            let name = host.name.isEmpty ? "the default socket" : host.name
            return host.port.isEmpty ? name : "\(name):\(host.port)"
        }
        return places.joined(separator: ", ")
    }

    /// The keywords for libpq: each name once for each of its addresses, so that all are tried.
    func connectKeywords(resolved: [String: [String]]) -> [(String, String)] {
        var (names, addresses, ports): ([String], [String], [String]) = ([], [], [])
        for (index, host) in hosts.enumerated() {
            let found = self.addresses.map { [$0[index]] } ?? (host.isSocket ? [""] : resolved[host.name] ?? [])
            for address in found {
                names.append(host.name)
                addresses.append(address)
                ports.append(host.port)
            }
        }
        var pairs = keywords.map { ($0.key, $0.value) }
        pairs.append(("host", names.joined(separator: ",")))
        pairs.append(("hostaddr", addresses.joined(separator: ",")))
        pairs.append(("port", ports.joined(separator: ",")))
        // Empty, so that the environment (`PGOPTIONS`, and `PGHOSTADDR` above) does not fill them in.
        pairs.append(("options", ""))
        pairs.append(("replication", ""))
        pairs.append(("client_encoding", "UTF8"))
        // Ours is the deadline, and libpq's works for blocking calls only.
        pairs.append(("connect_timeout", "0"))
        return pairs
    }

    private static func list(_ text: String) -> [String] {
        text.split(separator: ",", omittingEmptySubsequences: false).map(String.init)
    }

    // MARK: From C

    private static func parse(_ url: String) throws(DatabaseError) -> [String: String] {
        guard !url.utf8.contains(0) else { throw DatabaseError(.invalidURL, "The database URL has a zero byte.") }
        var complaint: UnsafeMutablePointer<CChar>?
        let options = PQconninfoParse(url, &complaint)
        // libpq's complaint quotes the URL.
        if let complaint { PQfreemem(complaint) }
        guard let options else { throw DatabaseError(.invalidURL, "The database URL makes no sense to libpq.") }
        defer { PQconninfoFree(options) }
        return values(of: options)
    }

    /// What the environment says about the place (`PGHOST`, `PGPORT`), or libpq itself.
    private static func `default`(_ keyword: String) -> String? {
        guard let options = PQconndefaults() else { return nil }
        defer { PQconninfoFree(options) }
        return values(of: options)[keyword]
    }

    private static func values(of options: UnsafeMutablePointer<PQconninfoOption>) -> [String: String] {
        var found: [String: String] = [:]
        var option = options
        while let keyword = option.pointee.keyword {
            if let value = option.pointee.val { found[String(cString: keyword)] = String(cString: value) }
            option += 1
        }
        return found
    }
}
