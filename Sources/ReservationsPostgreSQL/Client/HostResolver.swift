import Reactor

#if canImport(Darwin)
    import Darwin
#elseif canImport(Glibc)
    import Glibc
#elseif canImport(Musl)
    import Musl
#endif

/// Turns host names into addresses, off the Reactor: libpq itself would block in `getaddrinfo`.
///
/// At most one lookup runs at a time, and whoever asks meanwhile shares its answer: a lookup that hangs costs one thread,
/// however often a connection is tried. Belongs to the Reactor.
final class HostResolver {
    typealias Answer = Result<[String: [String]], DatabaseError>
    /// Addresses in text form, best first; `nil` for an unknown name.
    typealias Lookup = @Sendable (_ host: String) -> [String]?

    private let names: [String]
    private let reactor: Reactor
    private let lookup: Lookup
    private var waiters: [(Answer) -> Void] = []
    private var isRunning = false

    init(names: [String], reactor: Reactor, lookup: @escaping Lookup = HostResolver.systemLookup) {
        self.names = names
        self.reactor = reactor
        self.lookup = lookup
    }

    /// Tells `completion` the addresses of all names: at once when there are none, later and on the Reactor otherwise.
    func resolve(_ completion: @escaping (Answer) -> Void) {
        guard !names.isEmpty else { return completion(.success([:])) }
        waiters.append(completion)
        guard !isRunning else { return }
        isRunning = true
        let (reactor, lookup, names, receiver) = (reactor, lookup, names, Receiver(self))
        let status = Platform.startThread(toBlockIn: {
            let answer = Self.lookUp(names, lookup)
            reactor.execute { receiver.resolver?.finish(answer) }
        })
        guard status != 0 else { return }
        let failure = DatabaseError(.connectFailed, "There is no thread to look up the database's host on.")
        reactor.atEndOfTurn { self.finish(.failure(failure)) }
    }

    private func finish(_ answer: Answer) {
        isRunning = false
        let waiters = waiters
        self.waiters = []
        for waiter in waiters { waiter(answer) }
    }

    /// Of several hosts one that is known is enough.
    private static func lookUp(_ names: [String], _ lookup: Lookup) -> Answer {
        var found: [String: [String]] = [:]
        for name in names where found[name] == nil {
            if let addresses = lookup(name), !addresses.isEmpty { found[name] = addresses }
        }
        guard found.isEmpty else { return .success(found) }
        let list = names.joined(separator: ", ")
        return .failure(DatabaseError(.connectFailed, "The database's host name is not known: \(list)."))
    }

    /// Carries the resolver through the lookup's thread. Guard: `resolver` is read on the Reactor only.
    private final class Receiver: @unchecked Sendable {
        private(set) weak var resolver: HostResolver?

        init(_ resolver: HostResolver) {
            self.resolver = resolver
        }
    }

    static let systemLookup: Lookup = { host in
        var hints = addrinfo()
        #if canImport(Glibc)
            hints.ai_socktype = CInt(SOCK_STREAM.rawValue)
        #else
            hints.ai_socktype = SOCK_STREAM
        #endif
        var list: UnsafeMutablePointer<addrinfo>?
        guard getaddrinfo(host, nil, &hints, &list) == 0 else { return nil }
        defer { freeaddrinfo(list) }
        var addresses: [String] = []
        var next = list
        while let entry = next {
            next = entry.pointee.ai_next
            guard let address = text(of: entry.pointee), !addresses.contains(address) else { continue }
            addresses.append(address)
        }
        return addresses
    }

    private static func text(of entry: addrinfo) -> String? {
        withUnsafeTemporaryAllocation(of: CChar.self, capacity: Int(NI_MAXHOST)) { buffer in
            let status = getnameinfo(
                entry.ai_addr, entry.ai_addrlen, buffer.baseAddress, socklen_t(buffer.count), nil, 0, NI_NUMERICHOST)
            guard status == 0, let start = buffer.baseAddress else { return nil }
            return String(cString: start)
        }
    }
}
