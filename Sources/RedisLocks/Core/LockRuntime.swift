import Reactor

/// What a lock client stands on: production uses the Reactor for everything, tests replace the clock and the nodes.
package struct LockRuntime: Sendable {
    /// Where the engine and its nodes live. Stopped with the client.
    package var reactor: Reactor
    /// The clock and timers; must run its actions on `reactor`.
    package var timers: any TimerScheduler
    /// Makes the nodes; called once, on `reactor`.
    package var makeNodes: @Sendable () -> [any LockNode]
    /// Where bodies are cancelled, which runs their handlers; `nil` for the global pool. Never the reactor in production; in
    /// tests the reactor, so that they know when it has happened.
    package var cancellationExecutor: (any TaskExecutor)?
    /// Makes the source of owner values and jitter: the system's, which nobody can predict; in simulations a seeded one.
    package var makeGenerator: @Sendable () -> any RandomNumberGenerator

    package init(
        reactor: Reactor,
        timers: any TimerScheduler,
        cancellationExecutor: (any TaskExecutor)? = nil,
        makeGenerator: @escaping @Sendable () -> any RandomNumberGenerator = { SystemRandomNumberGenerator() },
        makeNodes: @escaping @Sendable () -> [any LockNode]
    ) {
        self.reactor = reactor
        self.timers = timers
        self.cancellationExecutor = cancellationExecutor
        self.makeGenerator = makeGenerator
        self.makeNodes = makeNodes
    }
}
