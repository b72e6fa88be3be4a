import ArgumentParser
import RedislockKit

struct RunCommand: Operation {
    static let configuration = CommandConfiguration(
        commandName: "run",
        abstract: "Runs a command while holding a lock.",
        usage: "redislock run [options] --key <key> -- <command> [<argument> ...]",
        discussion: """
            Waits for the lock, runs the command, keeps the lock alive while it runs and
            releases it when it ends. Standard input, output and error, other open files
            and the terminal are the command's as they were redislock's.

            A nightly job on one of many machines, skipped where another one has it:
              redislock run --node redis://redis --key nightly --wait 0s -- ./nightly

            Deployments one after the other, each waiting up to ten minutes:
              redislock run --node redis://redis --key deploy --wait 10m -- ./deploy

            The same on three independent servers, of which one may fail:
              export REDISLOCK_NODES=redis://a,redis://b,redis://c
              redislock init        (once, while they are new)
              redislock run --key deploy -- ./deploy

            DURATIONS are written 500ms, 0.5s, 10s, 2m, 1h.

            THE COMMAND'S ENVIRONMENT
              REDISLOCK_KEY            The lock's name.
              REDISLOCK_FENCING_TOKEN  An integer, greater than that of every holder
                                       before. Pass it to what the command writes to,
                                       and let that refuse smaller ones than it saw.
              REDISLOCK_DEADLINE       When the lock would end if it were never
                                       renewed, in Unix milliseconds, as of the
                                       start. It is renewed every third of the ttl.

            EXIT STATUS
              The command's own; 128+n when signal n ended it, or came before it began.
              64   bad arguments, a bad URL among them
              69   Redis cannot be reached, or too few nodes answer or vote
              70   an error in redislock
              74   the lock was lost while the command ran; the command was ended
              75   somebody else held the lock during the whole --wait
              78   Redis refuses the credentials, lacks a permission, or has settings
                   that no lock survives
              126  the command cannot be executed
              127  the command was not found
              One line on stderr says why, unless the status is the command's own.

            SIGNALS
              INT, TERM, HUP, QUIT, USR1 and USR2 are passed on to the command, and
              redislock waits for its end. Ctrl-C reaches the command by itself. When
              the lock is lost the command gets TERM, and KILL after --grace. Only the
              command itself gets these signals: use exec in shell wrappers.
              When redislock is killed (kill -9, out of memory), the lock ends after at
              most --ttl. On Linux the command gets TERM at once, unless it runs as
              another user (sudo). If it goes on, it does so without the lock (unlike
              under flock), and only the fencing token protects from it. A redislock that
              is stopped (Ctrl-Z) loses the lock after --ttl, and notices when it goes on.
            """
    )

    @OptionGroup var nodes: NodeOptions
    @OptionGroup var lock: KeyOption

    @Option(
        help: ArgumentHelp(
            "How long the lock outlives a redislock that vanishes, at least 100ms; default 10s. No limit on the command.",
            discussion: "Shorter lets others go on sooner after a crash; longer survives longer outages of Redis.",
            valueName: "duration"
        ),
        transform: duration
    )
    var ttl = Duration.seconds(10)

    @Option(
        help: ArgumentHelp(
            "How long to wait for the lock, or for Redis to answer; default 30s. 0s tries once.", valueName: "duration"),
        transform: duration
    )
    var wait = Duration.seconds(30)

    @Option(
        help: ArgumentHelp(
            "How long the command may take to end after TERM when the lock is lost; default 5s.", valueName: "duration"),
        transform: duration
    )
    var grace = Duration.seconds(5)

    @Option(
        help: ArgumentHelp(
            "The longest the lock is held, whatever the command does; then it counts as lost. Default: no limit.",
            valueName: "duration"
        ),
        transform: duration
    )
    var maximumHold: Duration?

    @OptionGroup var fleet: FleetOptions
    @OptionGroup var log: VerboseFlag

    @Argument(
        parsing: .postTerminator, help: ArgumentHelp("The command and its arguments, after --.", valueName: "command"))
    var command: [String] = []

    func validate() throws {
        guard ttl >= .milliseconds(100), ttl <= fleet.maximumTTL else {
            throw ValidationError(
                "--ttl must be between 100ms and --maximum-ttl, which is \(fleet.maximumTTL.forPeople)")
        }
        guard wait <= .seconds(365 * 86_400) else {
            throw ValidationError("--wait must be at most a year, 8760h")
        }
        guard !command.isEmpty else {
            throw ValidationError("no command given: write -- and the command after the options")
        }
        if let maximumHold, maximumHold <= .zero {
            throw ValidationError("--maximum-hold must be longer than 0s")
        }
    }

    func prepare() throws -> Job {
        // The parser's strings are UTF-8; the command gets the bytes that were typed.
        guard let line = CommandLineBytes(afterTerminatorOf: CommandLine.unsafeArgv, count: CommandLine.argc) else {
            throw ValidationError("no command given: write -- and the command after the options")
        }
        let set = try nodes.nodeSet(fleet)
        let session = RunSession(
            RunSession.Request(
                nodes: set, key: lock.key, ttl: ttl, wait: wait, grace: grace, maximumHold: maximumHold, command: line),
            logger: log.logger(for: set)
        )
        return Job(
            run: { await session.run() },
            receive: { session.receive(signal: $0, fromTerminal: $1) }
        )
    }
}
