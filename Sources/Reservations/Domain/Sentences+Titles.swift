extension ReservationError {
    /// What a buyer can read, with items called by their titles.
    ///
    /// - Parameters:
    ///   - language: in which language.
    ///   - title: how an item is called in that language; `nil` for one that has no title, which is called by its name.
    public func sentence(in language: Language, titles title: (_ item: String) -> String?) -> String {
        let named = ReservationError(
            code.renaming { item in title(item) ?? item }, message, retryAfter: retryAfter, attempts: attempts)
        return named.sentence(in: language)
    }
}

extension ReservationError.Code {
    /// Only for sentences: what comes of it names no bucket of any store.
    fileprivate func renaming(_ name: (String) -> String) -> Self {
        switch self {
        case .outOfStock(let shortfalls): .outOfStock(shortfalls.map { $0.renaming(name) })
        case .unknownBucket(let bucket): .unknownBucket(bucket.renaming(name))
        case .capacityBelowCommitments(let bucket, let committed):
            .capacityBelowCommitments(bucket.renaming(name), committed: committed)
        // Seats go by their labels, and no other sentence has an item in it.
        default: self
        }
    }
}

extension ReservationError.Shortfall {
    fileprivate func renaming(_ name: (String) -> String) -> Self {
        Self(
            bucket: bucket.renaming(name), requested: requested, available: available, heldByOthers: heldByOthers,
            heldByHolder: heldByHolder, nextReleaseAt: nextReleaseAt, nextReleaseIn: nextReleaseIn)
    }
}

extension Bucket {
    fileprivate func renaming(_ name: (String) -> String) -> Bucket {
        switch kind {
        case .counted: .counted(name(item))
        case .seat: .seat(name(item), label)
        case .night: .night(name(item), night)
        }
    }
}
