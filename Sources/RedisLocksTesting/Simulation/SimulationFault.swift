/// A kind of thing that goes wrong. Each schedule enables a random subset ("swarm testing"): what one fault would hide is
/// found in schedules without it.
package enum SimulationFault: Int, CaseIterable, Sendable {
    // Network
    /// A request or an answer takes up to the ttl and longer.
    case delay
    /// A request is delivered once more, later; its answer goes nowhere.
    case duplicate
    /// A connection breaks; what is under way on it arrives, or a part of it, or nothing, and its successor overtakes it.
    case breakage
    /// Requests pass, answers do not, until the connection is given up.
    case halfOpen
    /// No connection for a while.
    case partition

    // Servers
    /// A server stands still. What has arrived is executed when it goes on, however long ago its sender gave up.
    case serverPause
    /// A server is killed and starts again. What it forgets depends on its persistence.
    case crash
    /// Several are killed at once.
    case massacre
    /// FLUSHALL.
    case flush
    /// A server starts again with an old backup.
    case rollback
    /// ACQUIRE is refused for want of memory; EXTEND and RELEASE work.
    case outOfMemory
    /// SCRIPT FLUSH: each script is sent twice.
    case scriptFlush
    /// LOADING after a start, BUSY for a while.
    case busy
    /// Somebody who knows nothing of tokens holds a name: `SET name value NX PX ms`.
    case stranger

    // Clients
    /// SIGSTOP: answers and timers come late, and all at once.
    case clientPause
    /// The machine sleeps; a continuous clock runs on.
    case suspension
    case clientCrash
    case cancellation

    // What makes rare paths common
    /// Counters differ from the beginning, so that a second round is needed.
    case divergedCounters
    /// Somebody raises a counter while it is being confirmed.
    case raisedCounters
    /// Requests may take no longer than answers do.
    case tinyTimeouts
    /// A node's clock is off by more than the fleet tolerates.
    case skew

    // Outside the assumptions of exclusion
    case clockStep
    /// Clocks run apart by more than the drift that leases allow for.
    case clockRate
    /// A client's clock stands still while it is paused, as on a virtual machine that is frozen.
    case frozenClock
    /// A lock's key vanishes before its time. Its counter stays.
    case eviction
}

package struct SimulationFaults: OptionSet, Sendable, Hashable {
    package let rawValue: UInt32

    package init(rawValue: UInt32) {
        self.rawValue = rawValue
    }

    package init(_ fault: SimulationFault) {
        rawValue = 1 << UInt32(fault.rawValue)
    }

    package init(_ faults: [SimulationFault]) {
        self = faults.reduce(into: []) { $0.insert(SimulationFaults($1)) }
    }

    @inline(__always)
    package func has(_ fault: SimulationFault) -> Bool {
        rawValue & (1 << UInt32(fault.rawValue)) != 0
    }

    package var list: [SimulationFault] { SimulationFault.allCases.filter(has) }
}

extension SimulationFaults: CustomStringConvertible {
    package var description: String { list.map { "\($0)" }.joined(separator: ",") }
}

/// Something that must happen in some schedule of every fixed set of seeds; otherwise the set tests less than it says.
package enum Sometimes: Int, CaseIterable, Sendable {
    /// A grant that took a round of CONFIRM.
    case secondRound
    /// CONFIRM found the counter beyond the token.
    case raisedInConfirm
    /// A majority held the lock and did not agree on a token in time.
    case fencingUnavailable
    /// A node that may have forgotten what it granted abstained.
    case quarantineRefusal
    /// A node granted a request whose sender had given up.
    case zombieGrant
    /// All nodes were held, by nobody in a majority.
    case splitVote
    /// A lone node answered a repeated request with "already yours".
    case repeatedRequest
    /// A grant did not count because the node's clock was off.
    case skewFiltered
    case lostAfterExtension
    /// A node granted an attempt that came to nothing, so its counter is ahead.
    case burnedCounter
    /// A node's grant came after the lease had been granted, and is its own.
    case lateWinnerAdopted
    case replanted
    /// A token that was handed on as one of a block.
    case handedOff
    /// Two held a name at once, with the assumptions of exclusion broken: what fencing is for.
    case doubleHoldOutside
    /// The store refused a holder that was late.
    case storeRefusal
}

package struct SometimesCounts: Sendable {
    package private(set) var counts = [Int](repeating: 0, count: Sometimes.allCases.count)

    package init() {}

    @inline(__always)
    package mutating func note(_ happening: Sometimes, times: Int = 1) { counts[happening.rawValue] += times }
    package subscript(_ happening: Sometimes) -> Int { counts[happening.rawValue] }

    package mutating func add(_ other: SometimesCounts) {
        for index in counts.indices { counts[index] += other.counts[index] }
    }

    package var missing: [Sometimes] { Sometimes.allCases.filter { self[$0] == 0 } }
}
