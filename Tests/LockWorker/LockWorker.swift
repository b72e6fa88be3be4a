import TestSupport

/// A process for tests: a client of the locks that can be stopped, killed and watched, and the torture that many of them
/// are put to.
@main
enum LockWorker {
    static func main() async {
        do {
            let arguments = try Arguments(CommandLine.arguments.dropFirst(2))
            switch CommandLine.arguments.dropFirst().first {
            case "loop": try await Looping(arguments).run()
            case "steps": try await Stepping(arguments).run()
            case "torture": exit(try await Torture(arguments).run() ? 0 : 1)
            case "second-rounds": try await SecondRounds(arguments).run()
            case "latency": try await LatencyMeasurement(arguments).run()
            default: throw TestSupportError("What to do? loop, steps, torture, second-rounds or latency.")
            }
        } catch {
            print("lock-worker: \(error)")
            exit(2)
        }
    }
}
