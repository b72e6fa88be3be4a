import Reservations

extension StoreConformance {
    static var reading: [ConformanceCheck] {
        [
            ConformanceCheck("Buckets come sorted, by page, and only those that are there", listing),
            ConformanceCheck("Neighbours of a seat come from both sides", neighbours),
            ConformanceCheck("The ledger comes by page, numbered upwards, and adds up", ledger),
            ConformanceCheck("Text is text: quotes, Korean, emoji, 128 bytes", text),
        ]
    }

    private static func listing(_ rig: Rig) async throws {
        let labels = ["A1", "A10", "A2", "B1", "a1", "É1"]
        for label in labels.shuffled() { try await rig.stock(.seat("hall", label), 1) }
        try await rig.stock(.counted("hall"), 5)
        try await rig.stock(.counted("hall of fame"), 5)
        let sorted = ([.counted("hall")] + labels.map { Bucket.seat("hall", $0) }).sorted()
        let all = try await rig.store.states(ofItem: "hall", after: nil, limit: 100)
        try same(all.map(\.bucket), sorted, "All")
        var paged: [Bucket] = []
        while true {
            let page = try await rig.store.states(ofItem: "hall", after: paged.last, limit: 2)
            paged += page.map(\.bucket)
            if page.count < 2 { break }
        }
        try same(paged, sorted, "By page")
        let wanted = [Bucket.seat("hall", "B1"), .seat("hall", "Z9"), .counted("hall")]
        try same(try await rig.store.states(of: wanted).map(\.bucket), [.counted("hall"), .seat("hall", "B1")], "Some")
        try same(try await rig.store.states(of: []), [], "None")
    }

    private static func neighbours(_ rig: Rig) async throws {
        for number in 10..<20 { try await rig.stock(.seat("hall", "A\(number)"), 1) }
        try await rig.stock(.counted("hall"), 9)
        try await rig.stock(.seat("other hall", "A15"), 1)
        try await rig.hold([Line(.seat("hall", "A14"))])
        let near = { (label: String, limit: Int) in
            try await rig.store.neighbours(of: .seat("hall", label), limit: limit)
        }
        let middle = try await near("A15", 2)
        try same(middle.map(\.bucket.label), ["A13", "A14", "A16", "A17"], "In the middle")
        try same(middle.map(\.available), [1, 0, 1, 1], "Free")
        try same(try await near("A10", 2).map(\.bucket.label), ["A11", "A12"], "At the beginning")
        try same(try await near("A19", 1).map(\.bucket.label), ["A18"], "At the end")
        try same(try await near("A155", 1).map(\.bucket.label), ["A15", "A16"], "Of one that is not there")
        try same(try await rig.store.neighbours(of: .counted("hall"), limit: 9), [], "Of another kind")
    }

    private static func ledger(_ rig: Rig) async throws {
        let a = try await rig.stock(.counted("a"), 9)
        let b = try await rig.stock(.counted("b"), 9)
        let first = try await rig.hold([Line(a, quantity: 2), Line(b)])
        _ = try await rig.resolve(.confirm, first.id).expectDone()
        let second = try await rig.hold([Line(a, quantity: 3)], by: "bob")
        _ = try await rig.resolve(.cancel, second.id, by: nil).expectDone()
        var entries: [LedgerEntry] = []
        while true {
            let page = try await rig.store.ledger(ofItem: nil, after: entries.last?.sequence ?? 0, limit: 3)
            entries += page
            if page.count < 3 { break }
        }
        try same(entries.count, 8, "Entries")
        try check(
            zip(entries, entries.dropFirst()).allSatisfy { $0.sequence < $1.sequence }, "The numbers do not rise.")
        let ofA = try await rig.store.ledger(ofItem: "a", after: 0, limit: 100)
        try same(ofA, entries.filter { $0.bucket == a }, "Of one item")
        try same(ofA.map(\.kind), [.stock, .hold, .confirm, .hold, .cancel], "Kinds")
        try same(ofA.map(\.capacityDelta), [9, 0, 0, 0, 0], "Capacity")
        try same(ofA.map(\.heldDelta), [0, 2, -2, 3, -3], "Held")
        try same(ofA.map(\.soldDelta), [0, 0, 2, 0, 0], "Sold")
        try same(ofA.map(\.actor), ["stock", "ann", "ann", "bob", "operator"], "Actors")
        try same(ofA.map(\.reservation), [nil, first.id, first.id, second.id, second.id], "Reservations")
    }

    private static func text(_ rig: Rig) async throws {
        let names = [
            "'; DROP TABLE bucket; --", "\"quoted\" \\ back", "좌석 가-12", "🎫👩‍👩‍👧", "%_*", " ", "$1",
            String(repeating: "é", count: 64),
        ]
        for name in names {
            let seat = try await rig.stock(.seat(name, name), 1)
            let claim = rig.claim([Line(seat)], by: name, key: key(name, "reserve", by: name))
            let held = try await rig.store.claim(claim, by: .atomic).expectHeld()
            try same(held.holder, name, "Holder")
            try same(try await rig.store.reservation(held.id, holder: name), held, "What was written")
            try same(try await rig.store.states(ofItem: name, after: nil, limit: 9).map(\.bucket), [seat], "Bucket")
            try same(try await rig.store.ledger(ofItem: name, after: 0, limit: 9).last?.actor, name, "Actor")
        }
    }
}
