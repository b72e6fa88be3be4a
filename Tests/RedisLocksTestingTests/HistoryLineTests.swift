import RedisLocksTesting
import TestSupport
import Testing

@Suite("Histories as lines")
struct HistoryLineTests {
    @Test("A line says what happened in plain words")
    func form() {
        var operation = grant(7, token: 3, invoked: 1, held: 5..<10, client: "a b", names: ["x,y", "jöb"])
        operation.ended = 9
        #expect(
            operation.line
                == "operation id=7 client=a%20b names=x%2Cy,j%C3%B6b invoked=1 returned=5 outcome=granted token=3 "
                + "deadline=1010 releaseInvoked=10 releaseReturned=15 ended=9 .")
        #expect(
            write(4, by: 7, 3, -2, accepted: false).line
                == "store at=4 key=k client=c operation=7 token=3 kind=write value=-2 accepted=false .")
    }

    @Test("What is written is read back", arguments: 0..<20)
    func roundTrip(seed: UInt64) throws {
        var model = HistoryModel(seed: seed)
        var history = model.history(operations: 60)
        history.operations[0].names = ["", "%2", "=. \n\t\"", "日本"].map { "\($0)!" }
        history.operations[0].client = ""
        history.operations[1].invoked = .min
        #expect(try LockHistory(lines: history.lines) == history)
        #expect(try LockHistory(lines: history.lines.joined(separator: "\n\n").split(separator: "\n")) == history)
    }

    @Test("The last line of an operation counts")
    func latest() throws {
        let begun = LockOperation(id: 1, client: "a", names: ["x"], invoked: 0)
        let granted = grant(1, token: 3, invoked: 0, held: 5..<10, client: "a", names: ["x"])
        let other = LockOperation(id: 2, client: "b", names: ["x"], invoked: 3)
        let history = try LockHistory(lines: [begun.line, other.line, granted.line])
        #expect(history.operations == [granted, other])
    }

    @Test("Two operations with one id are an error")
    func collision() {
        let first = LockOperation(id: 1, client: "a", names: ["x"], invoked: 0)
        let second = LockOperation(id: 1, client: "b", names: ["x"], invoked: 0)
        #expect(
            error([first.line, "", second.line]) == "Line 3 of the history is malformed: "
                + "the id 1 belongs to another operation as well.")
        let granted = grant(1, token: 3, invoked: 0, held: 5..<10, client: "a", names: ["x"])
        #expect(error([granted.line, first.line]) != nil, "a grant is not taken back")
    }

    @Test(
        "A malformed line is named with its number and its fault",
        arguments: [
            ("operation id=1 client=a names=x invoked=0 outcome=unk", "was it written to its end?"),
            (".", "it is empty"),
            ("lock id=1 .", "“lock” is no kind of record"),
            ("operation client=a names=x invoked=0 outcome=unknown .", "id is missing"),
            ("operation id=1 id=1 .", "id stands in it twice"),
            ("operation id=1 client=a names=x invoked=0 outcome=unknown dead=1 .", "operation has no field dead"),
            ("operation id=1 client=a names=x invoked=0 outcome=unknown hello .", "“hello” is no field"),
            ("operation id=1x client=a names=x invoked=0 outcome=unknown .", "id is no number: “1x”"),
            ("operation id=1 client=a names=x invoked=99999999999999999999 outcome=unknown .", "invoked is no number"),
            ("operation id=1 client=a%2 names=x invoked=0 outcome=unknown .", "“a%2” is not percent-encoded"),
            ("operation id=1 client=a%+1 names=x invoked=0 outcome=unknown .", "“a%+1” is not percent-encoded"),
            ("operation id=1 client=%FF names=x invoked=0 outcome=unknown .", "“%FF” is no UTF-8"),
            ("operation id=1 client=a names=x,,y invoked=0 outcome=unknown .", "a name is empty"),
            ("operation id=1 client=a names=x invoked=0 outcome=maybe .", "“maybe” is no outcome"),
            ("operation id=1 client=a names=x invoked=0 outcome=granted returned=1 .", "token is missing"),
            ("operation id=1 client=a names=x invoked=0 outcome=granted token=1 .", "granted, but never returned"),
            ("operation id=1 client=a names=x invoked=0 outcome=refused token=1 .", "not granted, but has a token"),
            ("operation id=1 client=a names=x invoked=0 outcome=unknown ended=3 .", "has what only a lease has"),
            (
                "operation id=1 client=a names=x invoked=5 returned=4 outcome=unknown .",
                "returned before it was invoked"
            ),
            ("store at=1 key=k client=c operation=1 token=1 kind=claim accepted=yes .", "neither true nor false"),
            ("store at=1 key=k client=c operation=1 token=1 kind=write accepted=true .", "value is missing"),
            ("store at=1 key=k client=c operation=1 token=1 kind=drop accepted=true .", "“drop” is no kind of request"),
        ])
    func malformed(line: String, reason: String) throws {
        let message = try #require(error(["", claim(1, by: 1, 1).line, line]))
        #expect(message.hasPrefix("Line 3 of the history is malformed: "))
        #expect(message.contains(reason))
    }

    @Test("A line that was cut off anywhere is an error, never another record")
    func torn() {
        let line = grant(71, token: 31, invoked: 10, held: 50..<100).line
        for length in 1..<line.count { #expect(error([String(line.prefix(length))]) != nil) }
    }

    private func error(_ lines: [String]) -> String? {
        do throws(HistoryError) {
            _ = try LockHistory(lines: lines)
            return nil
        } catch {
            return error.description
        }
    }
}
