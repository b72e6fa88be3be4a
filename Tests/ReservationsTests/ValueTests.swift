import Foundation
import ReservationStoreConformance
import Reservations
import TestSupport
import Testing

@Suite("Values")
struct ValueTests {
    @Test("Ids are UUIDs of version 7 whose order is that of time")
    func identifiers() throws {
        var generator = SeededGenerator(seed: 7)
        let start = Date(timeIntervalSince1970: 1_800_000_000.25)
        var previous = ""
        for step in 0..<500 {
            let id = ReservationID.make(at: start.addingTimeInterval(Double(step) / 500), using: &generator)
            let text = id.description
            #expect(text.count == 36)
            #expect(Array(text)[14] == "7", "\(text)")
            #expect("89ab".contains(Array(text)[19]), "\(text)")
            if step % 5 == 0 {
                #expect(text > previous, "later ids sort later")
                previous = text
            }
            #expect(ReservationID(text) == id)
            let coded = try JSONEncoder().encode([id])
            #expect(String(decoding: coded, as: UTF8.self) == "[\"\(text)\"]")
            #expect(try JSONDecoder().decode([ReservationID].self, from: coded) == [id])
        }
        let first = ReservationID.make(at: start, using: &generator).description
        #expect(Int(first.prefix(8) + first.dropFirst(9).prefix(4), radix: 16) == 1_800_000_000_250)
        #expect(ReservationID("not-a-uuid") == nil)
    }

    @Test("Ten thousand new ids are different, and near the present")
    func uniqueness() {
        let ids = (0..<10_000).map { _ in ReservationID.make() }
        #expect(Set(ids).count == ids.count)
        let prefixes = ids.compactMap { Int($0.description.prefix(8), radix: 16) }
        #expect(prefixes == prefixes.sorted())
    }

    @Test("The replacement of a reservation is always the same, and another one's is another")
    func replacements() {
        let ids = (0..<1_000).map { _ in ReservationID.make() }
        #expect(ids.map(\.replacement) == ids.map(\.replacement))
        #expect(Set(ids + ids.map(\.replacement)).count == 2_000)
        for id in ids {
            #expect(Array(id.replacement.description)[14] == "7")
            #expect(id.replacement.description.prefix(13) == id.description.prefix(13), "its time is kept")
        }
    }

    @Test(
        "Dates of the Gregorian calendar",
        arguments: [
            ("2026-12-24", true), ("2028-02-29", true), ("2026-02-29", false), ("2000-02-29", true),
            ("1900-02-29", false),
            ("2100-02-29", false), ("2026-04-31", false), ("2026-13-01", false), ("2026-00-10", false),
            ("2026-01-00", false),
            ("0000-01-01", false), ("0001-01-01", true), ("9999-12-31", true), ("2026-1-01", false),
            ("2026-01-1", false),
            ("26-01-01", false), ("2026/01/01", false), ("2026-01-01T", false), (" 2026-01-01", false), ("", false),
            ("2026-01-3\u{0661}", false), ("+026-01-01", false), ("-026-01-01", false),
        ])
    func dates(text: String, isDate: Bool) {
        #expect((CalendarDate(text) != nil) == isDate)
        if isDate { #expect(CalendarDate(text)?.text == text) }
        #expect((Bucket.night("room", text).flaw == nil) == isDate)
    }

    @Test(
        "The day after",
        arguments: [
            ("2026-12-24", "2026-12-25"), ("2026-12-31", "2027-01-01"), ("2028-02-28", "2028-02-29"),
            ("2028-02-29", "2028-03-01"), ("2026-02-28", "2026-03-01"), ("2026-04-30", "2026-05-01"),
        ])
    func nextDay(day: String, next: String) {
        #expect(CalendarDate(day)?.next.text == next)
    }

    @Test("The days of 400 years are 146,097")
    func fourCenturies() {
        var date = CalendarDate("2000-01-01")
        var days = 0
        while let day = date, day.year < 2400 {
            date = day.next
            days += 1
        }
        #expect(days == 146_097)
        #expect(date?.text == "2400-01-01")
    }

    @Test("A stay is a line for each night")
    func stays() {
        let lines = Line.stay("room", arrival: "2026-12-30", nights: 3, rooms: 2)
        #expect(lines.map(\.bucket.night) == ["2026-12-30", "2026-12-31", "2027-01-01"])
        #expect(lines.allSatisfy { $0.quantity == 2 && $0.bucket.item == "room" })
        #expect(Line.stay("room", arrival: "tomorrow", nights: 3).isEmpty)
        #expect(Line.stay("room", arrival: "2026-12-30", nights: 0).isEmpty)
        #expect(Line.stay("room", arrival: "2026-12-30", nights: -1).isEmpty)
    }

    @Test("Buckets are ordered by their bytes")
    func order() {
        let buckets: [Bucket] = [
            .counted("B"), .seat("B", "1"), .seat("B", "10"), .seat("B", "2"), .counted("a"), .night("a", "2026-01-01"),
            .night("a", "2026-01-02"), .seat("a", "Z"), .counted("é"), .counted("좌석"), .counted("🎫"),
        ]
        #expect(buckets.shuffled().sorted() == buckets)
    }

    @Test(
        "Names that no bucket may have",
        arguments: [
            Bucket.counted(""), .counted("a\u{0}b"), .counted("a\nb"), .counted("a{b"), .counted("b}"),
            .counted("\u{7F}"),
            .counted("\u{85}"), .counted(String(repeating: "é", count: 65)), .seat("hall", ""), .seat("", "A1"),
            .seat("hall", "A\t1"), .night("", "2026-12-24"), .night("room", ""),
        ])
    func flaws(bucket: Bucket) {
        #expect(bucket.flaw != nil)
        #expect(throws: ReservationError.self) { try Cart(merging: [Line(bucket)], limits: ReservationLimits()) }
    }

    @Test("The same bucket's lines are added up, and buckets sorted")
    func carts() throws {
        let lines = [Line(.counted("b")), Line(.seat("a", "1")), Line(.counted("b"), quantity: 3), Line(.counted("a"))]
        let cart = try Cart(merging: lines, limits: ReservationLimits())
        #expect(cart.lines == [Line(.counted("a")), Line(.seat("a", "1")), Line(.counted("b"), quantity: 4)])
        #expect(cart.buckets == cart.lines.map(\.bucket))
    }

    @Test("Times are exact in a fingerprint, however near they are")
    func fingerprintsOfTimes() {
        let attosecond = Duration(secondsComponent: 0, attosecondsComponent: 1)
        let times: [Duration?] = [
            nil, .zero, .seconds(60), .seconds(60) + attosecond, .seconds(60) + attosecond * 2, .seconds(Int64.max),
            .seconds(Int64.max) - attosecond, .seconds(-60),
        ]
        #expect(Set(times.map(Fingerprint.text)).count == times.count)
        #expect(Fingerprint.text(of: .milliseconds(60_500)) == "60 s, 500000000000000000 as")
    }

    @Test("Numbers from outside stop nothing")
    func extremes() throws {
        let bucket = Bucket.counted("a")
        let state = BucketState(bucket: bucket, capacity: .min, held: .max, sold: 1, version: 0, fence: 0)
        #expect(state.available == .min)
        let shortfall = ReservationError.Shortfall(
            bucket: bucket, requested: .max, available: .max, heldByOthers: .max, heldByHolder: .max,
            nextReleaseIn: .seconds(Int64.max) + .milliseconds(999))
        #expect(shortfall.mayBecomeAvailable)
        for language in ReservationError.Language.allCases {
            #expect(!ReservationError(.outOfStock([shortfall]), "").sentence(in: language).isEmpty)
        }
        let stay = Line.stay("room", arrival: "2026-12-24", nights: .max)
        #expect(throws: ReservationError.self) { try Cart(merging: stay, limits: ReservationLimits()) }
        #expect(Line.stay("room", arrival: "2026-12-24", nights: .min).isEmpty)
        #expect(Strategy.pessimistic(lockTimeout: .seconds(Int64.max)).name == "pessimistic")
    }

    @Test("Fingerprints tell requests apart, also where their fields join to the same text")
    func fingerprints() {
        let all = [
            Fingerprint.of("reserve", []), Fingerprint.of("reserve", [""]), Fingerprint.of("reserve", ["a", "b"]),
            Fingerprint.of("reserve", ["ab"]), Fingerprint.of("reserve", ["a", "b", ""]),
            Fingerprint.of("confirm", ["ab"]),
            Fingerprint.of("reserve", ["b", "a"]), Fingerprint.of("reserve", ["1:a"]),
        ]
        #expect(Set(all).count == all.count)
        #expect(all.allSatisfy { $0.count == 32 })
        // Computed by another implementation of FNV-1a (128 bits): versions and machines agree.
        #expect(Fingerprint.of("reserve", ["ab"]) == "a4af82a09f349c745d85f4481e10ee83")
    }
}
