import Reactor

#if canImport(Darwin)
    import Darwin
#elseif canImport(Glibc)
    import Glibc
#elseif canImport(Musl)
    import Musl
#endif

/// Turns a host name into addresses, off the Reactor: `getaddrinfo` blocks, for as long as it likes.
///
/// At most one lookup runs at a time. One that hangs is waited for by whoever asks next, not joined by a second thread;
/// so a resolver, and there is one per connection, costs one thread at most. Belongs to the Reactor.
final class Resolver {
    /// Addresses in text form, best first, or what is wrong.
    typealias Lookup = @Sendable (_ host: String) -> Result<[String], LookupFailure>

    struct LookupFailure: Error {
        let text: String
    }

    private let reactor: Reactor
    private let lookup: Lookup
    private var waiter: ((Result<[String], LookupFailure>) -> Void)?
    private var isRunning = false

    init(reactor: Reactor, lookup: @escaping Lookup = Resolver.systemLookup) {
        self.reactor = reactor
        self.lookup = lookup
    }

    /// Tells `completion` the addresses, later and on the Reactor. A second call takes the first one's place.
    func resolve(_ host: String, completion: @escaping (Result<[String], LookupFailure>) -> Void) {
        waiter = completion
        guard !isRunning else { return }
        isRunning = true
        let (reactor, lookup, receiver) = (reactor, lookup, Receiver(self))
        let status = Platform.startThread(toBlockIn: {
            let result = lookup(host)
            reactor.execute { receiver.resolver?.finish(result) }
        })
        guard status != 0 else { return }
        reactor.atEndOfTurn { self.finish(.failure(LookupFailure(text: "no thread to ask on"))) }
    }

    /// Forgets who asked. The lookup ends when it ends.
    func abandon() {
        waiter = nil
    }

    private func finish(_ result: Result<[String], LookupFailure>) {
        isRunning = false
        let waiter = waiter
        self.waiter = nil
        waiter?(result)
    }

    /// Carries the resolver through the lookup's thread. Guard: `resolver` is read on the Reactor only.
    private final class Receiver: @unchecked Sendable {
        private(set) weak var resolver: Resolver?

        init(_ resolver: Resolver) {
            self.resolver = resolver
        }
    }

    /// Whether `host` is an address already.
    static func isNumeric(_ host: String) -> Bool {
        var hints = addrinfo()
        hints.ai_flags = AI_NUMERICHOST
        var list: UnsafeMutablePointer<addrinfo>?
        guard getaddrinfo(host, nil, &hints, &list) == 0 else { return false }
        freeaddrinfo(list)
        return true
    }

    static let systemLookup: Lookup = { host in
        var hints = addrinfo()
        #if canImport(Glibc)
            hints.ai_socktype = CInt(SOCK_STREAM.rawValue)
        #else
            hints.ai_socktype = SOCK_STREAM
        #endif
        var list: UnsafeMutablePointer<addrinfo>?
        let status = getaddrinfo(host, nil, &hints, &list)
        guard status == 0 else { return .failure(LookupFailure(text: String(cString: gai_strerror(status)))) }
        defer { freeaddrinfo(list) }
        var addresses: [String] = []
        var next = list
        while let entry = next {
            next = entry.pointee.ai_next
            guard let address = text(of: entry.pointee), !addresses.contains(address) else { continue }
            addresses.append(address)
        }
        return addresses.isEmpty ? .failure(LookupFailure(text: "no addresses")) : .success(addresses)
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
