import DequeModule

/// Who in this process is next for which name: first come, first served.
///
/// A waiter stands in the queue of each of its names and is *up* when it is first in all of them; a holder keeps its place
/// until it lets go. Everyone joins all queues at one instant, so the order is the same in every queue and nobody can wait
/// in a circle. Only a waiter that is up talks to the nodes.
package struct WaitLine {
    package typealias ID = UInt64

    private var queues: [LockName: Deque<ID>] = [:]
    private var namesByID: [ID: [LockName]] = [:]

    package init() {}

    /// How many stand in line, holders included.
    package var count: Int { namesByID.count }

    /// Whether nobody stands in line for any of these names.
    package func isFree(_ names: [LockName]) -> Bool {
        names.allSatisfy { queues[$0] == nil }
    }

    /// The holder or waiter that is first for this name.
    package func first(for name: LockName) -> ID? {
        queues[name]?.first
    }

    /// Joins the line. Returns whether the newcomer is up at once.
    package mutating func join(_ id: ID, names: [LockName]) -> Bool {
        precondition(namesByID[id] == nil, "Waiter \(id) stands in line already.")
        namesByID[id] = names
        for name in names { queues[name, default: []].append(id) }
        return isUp(id)
    }

    /// Leaves the line. Returns who is up because of it, in the order in which they joined.
    package mutating func leave(_ id: ID) -> [ID] {
        guard let names = namesByID.removeValue(forKey: id) else { return [] }
        var candidates: [ID] = []
        for name in names {
            guard let wasFirst = remove(id, from: name), wasFirst, let next = queues[name]?.first else { continue }
            if !candidates.contains(next) { candidates.append(next) }
        }
        return candidates.filter(isUp).sorted()
    }

    /// Removes `id` from one queue. Returns whether it was first there.
    private mutating func remove(_ id: ID, from name: LockName) -> Bool? {
        guard let index = queues[name]?.firstIndex(of: id) else { return nil }
        queues[name]?.remove(at: index)
        if queues[name]?.isEmpty == true { queues[name] = nil }
        return index == 0
    }

    private func isUp(_ id: ID) -> Bool {
        guard let names = namesByID[id] else { return false }
        return names.allSatisfy { queues[$0]?.first == id }
    }
}
