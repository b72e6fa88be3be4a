import Reservations

/// What is on offer: which items there are, how they are called, and which strategy each is claimed with.
package struct Catalogue: Sendable {
    package struct Item: Sendable {
        package let id: String
        package let kind: Bucket.Kind
        package let english: String
        package let korean: String
        /// `nil` for the service's default.
        package var strategy: StrategyName?
        /// What the item is stocked with when nobody has stocked it yet.
        package let stock: [(bucket: Bucket, capacity: Int)]

        package init(
            _ id: String, _ kind: Bucket.Kind, english: String, korean: String, strategy: StrategyName? = nil,
            stock: [(bucket: Bucket, capacity: Int)]
        ) {
            self.id = id
            self.kind = kind
            self.english = english
            self.korean = korean
            self.strategy = strategy
            self.stock = stock
        }

        package func title(in language: ReservationError.Language) -> String {
            switch language {
            case .english: english
            case .korean: korean
            }
        }
    }

    package private(set) var items: [Item]

    package init(items: [Item]) {
        self.items = items
    }

    package func item(_ id: String) -> Item? { items.first { $0.id == id } }

    /// How buyers know an item; `nil` when there is none.
    package func title(of id: String, in language: ReservationError.Language) -> String? {
        item(id)?.title(in: language)
    }

    /// `false` when there is no such item.
    package mutating func claim(_ id: String, with strategy: StrategyName) -> Bool {
        guard let index = items.firstIndex(where: { $0.id == id }) else { return false }
        items[index].strategy = strategy
        return true
    }

    /// A concert hall, a counted item, a hotel, and one sale for each strategy, so that they can be compared.
    package static var demo: Catalogue {
        let seats = "ABCDEFGH".flatMap { row in (1...12).map { Bucket.seat("concert", "\(row)\($0)") } }
        let nights = (1...14).map { Bucket.night("harbour-room", "2027-05-\($0 < 10 ? "0" : "")\($0)") }
        let shown = [
            Item(
                "concert", .seat, english: "An evening of strings", korean: "현악의 밤",
                stock: seats.map { ($0, 1) }),
            Item(
                "poster", .counted, english: "Signed poster", korean: "사인 포스터",
                stock: [(.counted("poster"), 24)]),
            Item(
                "harbour-room", .night, english: "Harbour room", korean: "항구가 보이는 객실", strategy: .pessimistic,
                stock: nights.map { ($0, 4) }),
        ]
        let drops = StrategyName.allCases.map { strategy in
            let id = "drop-\(strategy.rawValue)"
            return Item(
                id, .counted, english: "Drop, \(strategy.rawValue)", korean: "한정 판매, \(strategy.rawValue)",
                strategy: strategy, stock: [(.counted(id), 0)])
        }
        return Catalogue(items: shown + drops)
    }

    /// Stocks what has never been stocked. Any number of processes may do it: the key makes it happen once.
    package func stock(_ service: ReservationService) async throws {
        for item in items {
            let known = Set(try await service.availability(of: item.id, limit: 10_000).map(\.bucket))
            for (bucket, capacity) in item.stock where !known.contains(bucket) {
                try await service.restock(bucket, by: capacity, actor: "catalogue", key: "first-stock-\(bucket)")
            }
        }
    }
}

/// The strategies by name.
package enum StrategyName: String, Sendable, CaseIterable {
    case locked, atomic, optimistic, pessimistic, queued
}
