/// The Redis servers that a lock lives on.
public struct LockNodes: Sendable, Hashable {
    package let urls: [String]

    /// One Redis master. A single-node lock is a quorum of one.
    ///
    /// - Parameter url: `redis://[user[:password]@]host[:port][/db]` or `unix:///path/to/socket`.
    public static func node(_ url: String) -> LockNodes {
        LockNodes(urls: [url])
    }
}
