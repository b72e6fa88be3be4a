import RedisLocks
import Testing

@testable import RedislockKit

#if canImport(Darwin)
    import Darwin
#elseif canImport(Glibc)
    import Glibc
#endif

@Suite("The supervision of a command")
struct SupervisionTests {
    private static func running() -> Supervision {
        var machine = Supervision()
        #expect(machine.handle(.acquired) == [.start])
        return machine
    }

    @Test("ends with the command's own end")
    func plain() {
        var machine = Self.running()
        #expect(machine.handle(.ended(.exited(3))) == [.finish(.ended(.exited(3)))])
    }

    @Test("reports a command that cannot be started")
    func notStarted() {
        var machine = Self.running()
        #expect(machine.handle(.notStarted(ENOENT)) == [.finish(.notStarted(ENOENT))])
    }

    @Test("stops acquiring at the first signal, starts nothing then, and ends when the attempt is over")
    func interrupted() {
        var machine = Supervision()
        #expect(machine.handle(.signal(SIGTERM, fromTerminal: false)) == [.stopAcquiring])
        #expect(machine.handle(.signal(SIGINT, fromTerminal: true)) == [])
        #expect(machine.handle(.acquired) == [.finish(.interrupted(SIGTERM))])
    }

    @Test("heeds Ctrl-C while it waits, although the terminal sends it")
    func interruptedFromTerminal() {
        var machine = Supervision()
        #expect(machine.handle(.signal(SIGINT, fromTerminal: true)) == [.stopAcquiring])
    }

    @Test("forwards signals, except those that the terminal has sent to the command already")
    func forwards() {
        var machine = Self.running()
        #expect(machine.handle(.signal(SIGHUP, fromTerminal: false)) == [.send(SIGHUP)])
        #expect(machine.handle(.signal(SIGINT, fromTerminal: true)) == [])
        #expect(machine.handle(.signal(SIGINT, fromTerminal: false)) == [.send(SIGINT)])
    }

    @Test("answers a lost lease with SIGTERM, wakes a stopped command for it, and kills after the grace")
    func lost() {
        var machine = Self.running()
        #expect(machine.handle(.leaseLost(.taken)) == [.send(SIGTERM), .send(SIGCONT), .startGrace])
        #expect(machine.handle(.signal(SIGHUP, fromTerminal: false)) == [.send(SIGHUP)])
        #expect(machine.handle(.graceOver) == [.send(SIGKILL)])
        #expect(
            machine.handle(.ended(.signalled(SIGKILL))) == [.finish(.leaseLost(.taken, .signalled(SIGKILL)))])
    }

    @Test("counts a lease as lost that was over before the command could be started")
    func tooLate() {
        var machine = Self.running()
        #expect(machine.handle(.notStarted(ETIMEDOUT)) == [.finish(.leaseLostBeforeStart)])
        var other = Self.running()
        _ = other.handle(.leaseLost(.expired))
        #expect(other.handle(.notStarted(ETIMEDOUT)) == [.finish(.leaseLostBeforeStart)])
    }

    @Test("A command is not started too late")
    func notStartedTooLate() async {
        let command = Command(CommandLineBytes("sh", "-c", "exit 0"), variables: [])
        let error: Int32? = await withCheckedContinuation { continuation in
            command.start(
                remaining: { .zero },
                onEnd: { _ in continuation.resume(returning: nil) },
                onFailure: { continuation.resume(returning: $0) })
        }
        #expect(error == ETIMEDOUT)
    }

    @Test("is deaf once it has ended")
    func finished() {
        var machine = Self.running()
        _ = machine.handle(.ended(.exited(0)))
        #expect(machine.handle(.leaseLost(.expired)) == [])
        #expect(machine.handle(.signal(SIGTERM, fromTerminal: false)) == [])
        #expect(machine.handle(.graceOver) == [])
    }

    @Test("reads what waitpid answers")
    func waitStatus() {
        #expect(CommandEnd(waitStatus: 0) == .exited(0))
        #expect(CommandEnd(waitStatus: 74 << 8) == .exited(74))
        #expect(CommandEnd(waitStatus: SIGKILL) == .signalled(SIGKILL))
        #expect(CommandEnd(waitStatus: SIGSEGV | 0x80) == .signalled(SIGSEGV), "with a core dump")
        #expect(CommandEnd.signalled(SIGTERM).status.code == 143)
    }
}
