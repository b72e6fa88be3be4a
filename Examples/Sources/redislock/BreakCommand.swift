import ArgumentParser
import RedislockKit

struct BreakCommand: Operation {
    static let configuration = CommandConfiguration(
        commandName: "break",
        abstract: "Takes a lock from its holder.",
        discussion: """
            For a holder that hangs and cannot be stopped where it runs. It learns of it
            at its next renewal, within a third of its ttl; until then two may believe
            that they hold the lock, and only the fencing token tells them apart. The
            fencing counter is never removed, so the next holder's token is greater.
            Among several nodes it is taken from all that answer, which must be a majority;
            what the others remember expires by itself.

            Without --yes it only says what it would do and exits with status 64.

            EXIT STATUS
              0   the lock was removed, or nobody held it
              64  bad arguments, or --yes is missing
              69  Redis cannot be reached, or too few nodes answered
              78  Redis refuses the credentials or lacks a permission
            """
    )

    @OptionGroup var nodes: NodeOptions
    @OptionGroup var lock: KeyOption

    @Flag(help: "Really do it.")
    var yes = false

    @OptionGroup var log: VerboseFlag

    func prepare() throws -> Job {
        let set = try nodes.nodeSet()
        let shot = OneShot(nodes: set, logger: log.logger(for: set))
        return Job(run: { [key = lock.key, yes] in await shot.breakLock(key, confirmed: yes) })
    }
}
