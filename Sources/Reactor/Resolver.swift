#if canImport(Darwin)
    import Darwin
#elseif canImport(Glibc)
    import Glibc
#elseif canImport(Musl)
    import Musl
#endif

/// Turns host names into addresses, off the Reactor: `getaddrinfo` blocks, for as long as it likes.
///
/// At most one lookup runs at a time, and whoever asks meanwhile shares its answer; so a resolver is for one list of hosts,
/// and one that hangs costs one thread, however often it is asked. Belongs to the Reactor.
package final class Resolver {
    /// Addresses in text form, best first, or what is wrong.
    package typealias Lookup = @Sendable (_ host: String) -> Result<[String], LookupFailure>
    /// What became of each host.
    package typealias Answer = [String: Result<[String], LookupFailure>]
    /// Names one who asked.
    package typealias Question = UInt64

    package struct LookupFailure: Error {
        package let text: String

        package init(text: String) {
            self.text = text
        }
    }

    private let reactor: Reactor
    private let lookup: Lookup
    private var waiters: [Question: (Answer) -> Void] = [:]
    private var lastQuestion: Question = 0
    private var isRunning = false

    package init(reactor: Reactor, lookup: @escaping Lookup = Resolver.systemLookup) {
        self.reactor = reactor
        self.lookup = lookup
    }

    /// How many wait for an answer.
    package var waiterCount: Int { waiters.count }

    /// Tells `completion` the hosts' addresses, later and on the Reactor, unless the question is abandoned before.
    @discardableResult
    package func resolve(_ hosts: [String], completion: @escaping (Answer) -> Void) -> Question {
        lastQuestion += 1
        waiters[lastQuestion] = completion
        guard !isRunning else { return lastQuestion }
        isRunning = true
        let (reactor, lookup, receiver) = (reactor, lookup, Receiver(self))
        let status = Platform.startThread(toBlockIn: {
            let answer = Dictionary(hosts.map { ($0, lookup($0)) }) { first, _ in first }
            reactor.execute { receiver.resolver?.finish(answer) }
        })
        if status != 0 {
            let failure = LookupFailure(text: "no thread to ask on")
            let answer: Answer = Dictionary(hosts.map { ($0, .failure(failure)) }) { first, _ in first }
            reactor.atEndOfTurn { self.finish(answer) }
        }
        return lastQuestion
    }

    /// Forgets who asked. The lookup ends when it ends.
    package func abandon(_ question: Question) {
        waiters[question] = nil
    }

    private func finish(_ answer: Answer) {
        isRunning = false
        let waiters = waiters
        self.waiters = [:]
        for question in waiters.keys.sorted() { waiters[question]?(answer) }
    }

    /// Carries the resolver through the lookup's thread. Guard: `resolver` is read on the Reactor only.
    private final class Receiver: @unchecked Sendable {
        private(set) weak var resolver: Resolver?

        init(_ resolver: Resolver) {
            self.resolver = resolver
        }
    }

    /// Whether `host` is an address already.
    package static func isNumeric(_ host: String) -> Bool {
        var hints = addrinfo()
        hints.ai_flags = AI_NUMERICHOST
        var list: UnsafeMutablePointer<addrinfo>?
        guard getaddrinfo(host, nil, &hints, &list) == 0 else { return false }
        freeaddrinfo(list)
        return true
    }

    package static let systemLookup: Lookup = { host in
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
