import Reactor
import RedisLocks
import RedisLocksTesting

#if canImport(Darwin)
    import Darwin
#elseif canImport(Glibc)
    import Glibc
#elseif canImport(Musl)
    import Musl
#endif

do {
    let arguments = try Arguments(Array(CommandLine.arguments.dropFirst()))
    let session = Session(arguments, reactor: try Reactor(name: "simulation"))
    exit(await session.run() ? 0 : 1)
} catch let mistake as Arguments.Mistake {
    print("simulate: \(mistake.sentence)")
    exit(64)
}
