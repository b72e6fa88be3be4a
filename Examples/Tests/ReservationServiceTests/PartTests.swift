import CoreMetrics
import Foundation
import ReservationServiceKit
import Reservations
import Testing

@Suite("Parts of the service")
struct PartTests {
    @Test("A bucket of tokens fills with time, and a stranger's is full")
    func rateLimiter() throws {
        let limiter = RateLimiter(perSecond: 2, burst: 2)
        let start = ContinuousClock.now
        #expect(limiter.admit("ann", at: start) == nil)
        #expect(limiter.admit("ann", at: start) == nil)
        let wait = try #require(limiter.admit("ann", at: start))
        #expect(wait == .milliseconds(500))
        #expect(limiter.admit("ann", at: start + .milliseconds(400)) != nil)
        #expect(limiter.admit("ann", at: start + .milliseconds(600)) == nil)
        #expect(limiter.admit("ben", at: start) == nil)
        #expect(limiter.admit("ann", path: "/healthz", at: start) == nil)
    }

    @Test(
        "The language that is preferred among ours",
        arguments: [
            (nil, ReservationError.Language.english), ("ko", .korean), ("en, ko;q=0.9", .english),
            ("fr, ko;q=0.1", .korean),
            ("ko;q=0", .english), ("*", .english), (";;,q=", .english),
        ] as [(String?, ReservationError.Language)])
    func languages(field: String?, language: ReservationError.Language) {
        #expect(ReservationError.Language(acceptLanguage: field) == language)
    }

    @Test("Metrics are written as Prometheus reads them, labels with quotes among them")
    func metrics() {
        let registry = PrometheusRegistry()
        registry.makeCounter(label: "sold.total", dimensions: [("item", "a \"b\"\\\n")]).increment(by: 3)
        registry.makeTimer(label: "time", dimensions: [("op", "x")]).recordNanoseconds(20_000_000)
        registry.makeMeter(label: "level", dimensions: []).set(1.5)
        let lines = registry.text().split(separator: "\n").map(String.init)
        #expect(lines.contains("# TYPE sold_total counter"))
        #expect(lines.contains("sold_total{item=\"a \\\"b\\\"\\\\\\n\"} 3"))
        #expect(lines.contains("time_bucket{op=\"x\",le=\"0.01\"} 0"))
        #expect(lines.contains("time_bucket{op=\"x\",le=\"0.025\"} 1"))
        #expect(lines.contains("time_bucket{op=\"x\",le=\"+Inf\"} 1"))
        #expect(lines.contains("time_sum{op=\"x\"} 0.02"))
        #expect(lines.contains("level 1.5"))
        #expect(registry.total("sold_total") == 3)
    }

    @Test("Percentiles are of what was measured")
    func percentiles() {
        var latencies = Latencies()
        #expect(latencies.percentile(50) == nil)
        for milliseconds in (1...100).shuffled() { latencies.add(.milliseconds(milliseconds)) }
        #expect(latencies.percentile(50) == 50)
        #expect(latencies.percentile(99) == 99)
        #expect(latencies.percentile(100) == 100)
    }

    @Test("JSON is written so that others can read it")
    func json() throws {
        let value = JSON.members([
            ("text", .string("\"\\\n\u{1}é")), ("none", nil), ("list", .array([.int(-1), .bool(true), .null])),
            ("number", .number(.infinity)),
        ])
        let read = try #require(try JSONSerialization.jsonObject(with: Data(value.text.utf8)) as? [String: Any])
        #expect(read["text"] as? String == "\"\\\n\u{1}é")
        #expect(read["none"] == nil)
        #expect((read["list"] as? [Any])?.count == 3)
        #expect(read["number"] is NSNull)
    }

    @Test("A secret is one that was made here, and its holder does not show it")
    func callers() throws {
        let secret = Caller.makeSecret()
        let caller = try #require(Caller(secret: secret))
        #expect(Caller(secret: secret) == caller)
        #expect(Caller(secret: Caller.makeSecret()) != caller)
        #expect(!secret.contains(caller.holder.dropFirst(2)))
        for bad in [
            "", "byr_", "byr_AAAA", String(secret.dropLast(2)), "xyz" + secret, secret + "AAAA",
            "byr_" + String(repeating: "!", count: 43),
        ] {
            #expect(Caller(secret: bad) == nil, "\(bad)")
        }
    }
}
