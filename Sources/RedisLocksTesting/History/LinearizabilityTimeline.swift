/// The invocations and returns that are not yet explained, in order of time: a list from which a call is taken, and into
/// which it is put back, in constant time. Calls are put back in the opposite order to that in which they were taken.
struct Timeline {
    private struct Entry {
        let call: Int
        let isReturn: Bool
        var previous: Int
        var next: Int
    }

    /// The first entry is the list's head.
    private var entries: [Entry] = [Entry(call: -1, isReturn: false, previous: 0, next: 0)]
    private var invocations: [Int]
    private var returns: [Int?]
    private var positions: [Int]
    private var outstanding: Int

    init(_ calls: [(invoked: Int64, returned: Int64?)]) {
        invocations = Array(repeating: 0, count: calls.count)
        returns = Array(repeating: nil, count: calls.count)
        positions = Array(repeating: 0, count: calls.count)
        outstanding = calls.count { $0.returned != nil }
        // At one instant, invocations before returns: calls that touch are not ordered by time.
        var events = calls.indices.map { (at: calls[$0].invoked, isReturn: 0, call: $0) }
        events += calls.indices.compactMap { call in calls[call].returned.map { (at: $0, isReturn: 1, call: call) } }
        var invoked = 0
        for event in events.sorted(by: <) {
            let index = entries.count
            entries.append(Entry(call: event.call, isReturn: event.isReturn == 1, previous: index - 1, next: 0))
            entries[index - 1].next = index
            if event.isReturn == 1 {
                returns[event.call] = index
            } else {
                invocations[event.call] = index
                positions[event.call] = invoked
                invoked += 1
            }
        }
        entries[0].previous = entries.count - 1
    }

    /// Whether every call that returned has been taken. The others may never have taken effect.
    var isComplete: Bool { outstanding == 0 }

    /// The call's number in the order of invocations.
    func position(of call: Int) -> Int { positions[call] }

    /// The calls that began before the first outstanding one returned, by number.
    func candidates() -> [Int] {
        var calls: [Int] = []
        var index = entries[0].next
        while index != 0, !entries[index].isReturn {
            calls.append(entries[index].call)
            index = entries[index].next
        }
        return calls.sorted()
    }

    mutating func take(_ call: Int) {
        unlink(invocations[call])
        guard let end = returns[call] else { return }
        unlink(end)
        outstanding -= 1
    }

    mutating func putBack(_ call: Int) {
        if let end = returns[call] {
            link(end)
            outstanding += 1
        }
        link(invocations[call])
    }

    private mutating func unlink(_ index: Int) {
        let entry = entries[index]
        entries[entry.previous].next = entry.next
        entries[entry.next].previous = entry.previous
    }

    private mutating func link(_ index: Int) {
        let entry = entries[index]
        entries[entry.previous].next = index
        entries[entry.next].previous = index
    }
}
