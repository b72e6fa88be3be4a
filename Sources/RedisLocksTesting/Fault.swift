/// What goes wrong with a request to an ``InMemoryServer``.
///
/// A request that fails completes exactly once, at its deadline at the latest, and always in the same way: there is no
/// chance in it.
public enum Fault: Sendable, Hashable {
    /// The request gets lost on its way: nothing is executed and nobody answers. The lock client gives up at the request's
    /// deadline, not knowing whether it was executed.
    case hang
    /// The server executes nothing and answers with this error line, such as
    /// `"OOM command not allowed when used memory > 'maxmemory'"`. Its first word decides what the client makes of it.
    case refuse(String)
    /// There is no connection: the request is not even sent, and the client knows it.
    case unreachable
    /// The connection breaks at once, before the server has executed the request. The client cannot know that.
    case loseReply
    /// The server executes the request; then the connection breaks and the reply is lost.
    case applyThenLoseReply
    /// The server executes the request at once, but its reply arrives this much later. The client sees a timeout if the
    /// request's deadline comes first.
    case delayReply(Duration)
}

/// The kinds of requests that a lock client sends, to aim a ``Fault`` at.
public enum RequestKind: Sendable, Hashable, CaseIterable {
    /// Takes names, all or nothing.
    case acquire
    /// Agrees on a fencing token where nodes differed. Never sent to a lone node.
    case confirm
    /// Renews a lease.
    case extend
    /// Gives names back.
    case release
    /// Reads the state of a name.
    case inspect
    /// Deletes a lock, whoever holds it.
    case breakLock
    /// Tells a node that it is new.
    case initialize
    /// Connects and probes; a client sends it once before its first lock.
    case ping
}
