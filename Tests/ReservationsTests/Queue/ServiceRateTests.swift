import Reservations
import Testing

@Suite("How fast a line moves")
struct ServiceRateTests {
    private func rate(_ batches: Int, decided: Int, took: Duration, isLoaded: Bool) -> ServiceRate {
        var rate = ServiceRate()
        for _ in 0..<batches { rate.note(decided: decided, took: took, isLoaded: isLoaded) }
        return rate
    }

    @Test("Nothing is said before twenty batches; then a range that grows with the position")
    func estimates() throws {
        #expect(rate(19, decided: 1, took: .milliseconds(10), isLoaded: false).estimate(position: 1) == nil)
        let known = rate(20, decided: 10, took: .milliseconds(100), isLoaded: true)
        let near = try #require(known.estimate(position: 1))
        let far = try #require(known.estimate(position: 100))
        #expect(near.lowerBound < .milliseconds(11) && near.lowerBound > .milliseconds(9))
        #expect(far.lowerBound > near.lowerBound * 90)
        #expect(far.upperBound >= far.lowerBound)
    }

    @Test("From lone requests nothing is concluded about a rush: they pay for a transaction each")
    func loneRequests() {
        #expect(rate(100, decided: 1, took: .milliseconds(30), isLoaded: false).serviceTime == nil)
        var rate = rate(100, decided: 1, took: .milliseconds(30), isLoaded: false)
        for _ in 0..<20 { rate.note(decided: 100, took: .milliseconds(50), isLoaded: true) }
        #expect(rate.serviceTime == .microseconds(500))
    }

    @Test("What cannot be is not counted")
    func nonsense() {
        #expect(rate(30, decided: 0, took: .seconds(1), isLoaded: true).serviceTime == nil)
        #expect(rate(30, decided: 5, took: .zero, isLoaded: true).serviceTime == nil)
        #expect(rate(30, decided: -5, took: .seconds(1), isLoaded: true).serviceTime == nil)
    }
}
