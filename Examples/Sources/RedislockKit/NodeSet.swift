import RedisLocks

/// The nodes that a lock lives on, and what the whole fleet must have agreed on about them.
package struct NodeSet: Sendable {
    package var urls: [String]
    package var allowsPlaintextPassword = false
    /// Every node writes with `appendfsync always`.
    package var areDurable = false
    package var maximumTTL: Duration = .seconds(60)
    package var hasRestartGuard = true

    package init(_ urls: [String]) {
        self.urls = urls
    }

    /// What is unwise about them, though it works.
    package var advice: String? {
        guard urls.count.isMultiple(of: 2) else { return nil }
        return "\(urls.count) nodes tolerate no more failures than \(urls.count - 1), and a split vote is likelier."
    }

    /// How many nodes may fail.
    var tolerance: Int { (urls.count - 1) / 2 }

    package var lockNodes: LockNodes {
        guard let url = urls.first, urls.count == 1 else {
            return .redlock(urls.map { LockNodes.Node($0, isDurable: areDurable) })
        }
        return .node(url, isDurable: areDurable)
    }

    /// What all clients on these nodes have in common.
    package func configuration(ttl: Duration = .seconds(10)) -> RedisLocks.Configuration {
        var configuration = RedisLocks.Configuration()
        configuration.ttl = min(ttl, maximumTTL)
        configuration.maximumTTL = maximumTTL
        configuration.restartGuard = hasRestartGuard ? .automatic : .unsafeOff
        configuration.clientName = "redislock"
        configuration.unsafeAllowPlaintextPasswords = allowsPlaintextPassword
        return configuration
    }

    /// The value of REDISLOCK_NODES that stands for them: no argument, for that would show a password to everybody.
    var environmentValue: String {
        urls.map { url in url.map { $0 == "," ? "%2C" : String($0) }.joined() }.joined(separator: ",")
    }

    /// The options that another `redislock run` needs to be of the same fleet.
    var arguments: [String] {
        var arguments = ["--maximum-ttl", "\(maximumTTL.wholeMilliseconds)ms"]
        if allowsPlaintextPassword { arguments.append("--unsafe-plaintext-password") }
        if areDurable { arguments.append("--durable") }
        if !hasRestartGuard { arguments.append("--unsafe-no-restart-guard") }
        return arguments
    }
}
