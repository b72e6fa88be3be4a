/// Clients read a set, wait, and write it back with one element more, under the lock: how much does that lose?
///
/// The workload is that of Jepsen's tests of etcd's locks. Without fencing, a client that was paused loses elements; with
/// a store that checks tokens it never does.
package struct ProtectedSetChecker<Element: Hashable & Comparable & Sendable>: Sendable {
    /// What was acknowledged and is gone.
    package let lost: [Element]
    /// What is there and was never added.
    package let invented: [Element]

    /// - Parameters:
    ///   - attempted: everything that anybody tried to add; `nil` when nobody kept it.
    ///   - acknowledged: what was confirmed to a client.
    ///   - present: the set at the end.
    package init(attempted: [Element]? = nil, acknowledged: [Element], present: [Element]) {
        let there = Set(present)
        lost = Set(acknowledged).subtracting(there).sorted()
        invented = attempted.map { there.subtracting($0).subtracting(acknowledged).sorted() } ?? []
    }

    package func check() -> [Violation] {
        lost.map { Violation(.lostElement, "The element \($0) was acknowledged and is gone.") }
            + invented.map { Violation(.inventedElement, "Nobody ever added the element \($0).") }
    }
}
