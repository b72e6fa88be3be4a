import Reactor

/// What a lock client stands on: production uses the Reactor for everything, tests replace the clock and the nodes.
package struct LockRuntime: Sendable {
    /// Where the engine and its nodes live. Stopped with the client.
    package var reactor: Reactor
    /// The clock and timers; must run its actions on `reactor`.
    package var timers: any TimerScheduler
    /// Makes the nodes; called once, on `reactor`.
    package var makeNodes: @Sendable () -> [any LockNode]

    package init(
        reactor: Reactor,
        timers: any TimerScheduler,
        makeNodes: @escaping @Sendable () -> [any LockNode]
    ) {
        self.reactor = reactor
        self.timers = timers
        self.makeNodes = makeNodes
    }
}
