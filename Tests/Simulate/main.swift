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

/// A small file of ours.
func contents(of path: String) throws(Arguments.Mistake) -> String {
    guard let file = fopen(path, "r") else { throw Arguments.Mistake(sentence: "\(path) cannot be read") }
    defer { fclose(file) }
    var bytes = [UInt8](repeating: 0, count: 1 << 20)
    bytes.removeLast(bytes.count - fread(&bytes, 1, bytes.count, file))
    return String(decoding: bytes, as: UTF8.self)
}

do {
    let arguments = try Arguments(Array(CommandLine.arguments.dropFirst()))
    let reactor = try Reactor(name: "simulation")
    let session = Session(arguments, reactor: reactor)
    guard let path = arguments.corpus else { exit(await session.run() ? 0 : 1) }
    let corpus = try SimulationCorpus(parsing: contents(of: path))
    let check = Check(arguments: arguments, reactor: reactor, session: session)
    exit(await check.run(corpus: corpus) ? 0 : 1)
} catch let mistake as Arguments.Mistake {
    print("simulate: \(mistake.sentence)")
    exit(64)
} catch let mistake as SimulationCorpus.Mistake {
    print("simulate: the corpus has a line that is none: \(mistake.line)")
    exit(64)
}
