import Testing

@testable import Reservations

@Suite("Which buckets are the same")
struct BucketIdentityTests {
    @Test("Two spellings of one letter are two buckets, as they are for a database")
    func byBytes() throws {
        let composed = Bucket.counted("caf\u{E9}")
        let decomposed = Bucket.counted("cafe\u{301}")
        #expect(composed.item == decomposed.item, "to Swift they are equal strings")
        #expect(composed != decomposed)
        #expect(Set([composed, decomposed, .counted("caf\u{E9}")]).count == 2)
        #expect((composed < decomposed) != (decomposed < composed))
        let cart = try Cart(merging: [Line(composed), Line(decomposed)], limits: ReservationLimits())
        #expect(cart.lines.map(\.quantity) == [1, 1])
    }
}
