#if canImport(FoundationEssentials)
    import FoundationEssentials
#else
    import Foundation
#endif

/// A claim as a store may write it down while it waits.
package struct StoredClaim: Codable, Sendable {
    private let id: ReservationID
    private let lines: [Line]
    private let ttl: Duration
    private let totalHold: Duration
    private let maximumLiveHolds: Int?

    package init(_ claim: Claim) {
        id = claim.id
        lines = claim.cart.lines
        ttl = claim.ttl
        totalHold = claim.totalHold
        maximumLiveHolds = claim.maximumLiveHolds
    }

    package func claim(of request: RequestKey) -> Claim {
        Claim(
            id: id, holder: request.caller, cart: Cart(trusted: lines), ttl: ttl, totalHold: totalHold,
            maximumLiveHolds: maximumLiveHolds, request: request)
    }
}

/// A refusal as a store may write it down, for those who ask what became of their request.
package struct StoredRefusal: Codable, Sendable {
    private struct Short: Codable {
        let bucket: Bucket
        let requested: Int
        let state: BucketState?
        let heldByHolder: Int
        let heldByOthers: Int
        let nextReleaseAt: Date?
        let asOf: Date
    }

    private var short: [Short]?
    private var holdLimit: Int?

    /// `nil` for what is no refusal of a claim under ``ClaimRule/atomic``.
    package init?(_ outcome: ClaimOutcome) {
        switch outcome {
        case .short(let shortages):
            short = shortages.map {
                Short(
                    bucket: $0.bucket, requested: $0.requested, state: $0.state, heldByHolder: $0.heldByHolder,
                    heldByOthers: $0.heldByOthers, nextReleaseAt: $0.nextReleaseAt, asOf: $0.asOf)
            }
        case .holdLimit(let current): holdLimit = current
        default: return nil
        }
    }

    package var outcome: ClaimOutcome {
        if let holdLimit { return .holdLimit(current: holdLimit) }
        return .short(
            (short ?? []).map {
                Shortage(
                    bucket: $0.bucket, requested: $0.requested, state: $0.state, heldByHolder: $0.heldByHolder,
                    heldByOthers: $0.heldByOthers, nextReleaseAt: $0.nextReleaseAt, asOf: $0.asOf)
            })
    }
}

extension StoreError {
    /// Reads what a store has written down.
    package static func decode<Form: Decodable>(_ form: Form.Type, _ text: String) throws(StoreError) -> Form {
        do {
            return try JSONDecoder().decode(form, from: Data(text.utf8))
        } catch {
            throw StoreError(.failed, "What was written down of a request cannot be read.")
        }
    }

    package static func encode(_ form: some Encodable) throws(StoreError) -> String {
        do {
            return String(decoding: try JSONEncoder().encode(form), as: UTF8.self)
        } catch {
            throw StoreError(.failed, "A request cannot be written down.")
        }
    }
}
