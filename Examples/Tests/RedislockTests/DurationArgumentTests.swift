import RedislockKit
import Testing

@Suite("Durations on the command line")
struct DurationArgumentTests {
    @Test(
        "are a number and a unit",
        arguments: [
            ("500ms", Duration.milliseconds(500)), ("0.5s", .milliseconds(500)), ("10s", .seconds(10)),
            ("2m", .seconds(120)), ("1h", .seconds(3600)), ("0s", .zero), ("0ms", .zero), ("1.5h", .seconds(5400)),
            ("0.25m", .seconds(15)), ("0.5ms", .microseconds(500)), ("1.000000001s", .nanoseconds(1_000_000_001)),
            ("0.000000001h", .nanoseconds(3600)), ("0.999999999h", .nanoseconds(3_599_999_996_400)),
            ("10000h", .seconds(36_000_000)),
        ])
    func accepted(text: String, duration: Duration) throws {
        #expect(try DurationArgument.parse(text) == duration)
    }

    @Test(
        "and nothing else",
        arguments: [
            "", "10", "s", "-1s", "+1s", "1 s", "1S", "1sec", "1d", ".5s", "1.s", "1..5s", "1.2.3s", "1e3s", "٣s",
            "1s ",
            "0x1s", "10001h", "99999999999999999999s", "0.1234567891s", "infs", "5ms5s",
        ])
    func refused(text: String) {
        #expect(throws: DurationArgument.Failure.self) { try DurationArgument.parse(text) }
    }

    @Test(
        "are told to people",
        arguments: [
            (Duration.milliseconds(12), "12 ms"), (.milliseconds(1250), "1.25 s"), (.seconds(10), "10 s"),
            (.milliseconds(1007), "1.007 s"), (.seconds(119), "119 s"), (.seconds(120), "2 min"),
            (.seconds(200), "3 min 20 s"),
        ])
    func told(duration: Duration, text: String) {
        #expect(duration.forPeople == text)
    }
}
