import RedisLocks
import RedisLocksTesting

/// What `scripts/simulate` is told.
struct Arguments {
    var firstSeed: UInt64 = 1
    var schedules: UInt64?
    var minutes: Double?
    var mutant: Mutant?
    var isMutantTable = false
    var isTraced = false
    var isDigestOnly = false
    /// The file of the seeds that once failed: everything is checked.
    var corpus: String?
    var commit = ""
    var options = SimulationOptions()

    struct Mistake: Error {
        let sentence: String
    }

    init(_ words: [String]) throws(Mistake) {
        var words = words[...]
        while let word = words.popFirst() {
            switch word {
            case "--mutants": isMutantTable = true
            case "--trace": isTraced = true
            case "--digest": isDigestOnly = true
            default:
                guard let value = words.popFirst() else {
                    throw Mistake(sentence: "\(word) is unknown, or lacks a value")
                }
                try read(word, value)
            }
        }
    }

    private mutating func read(_ word: String, _ value: String) throws(Mistake) {
        switch word {
        case "--seed": firstSeed = try Self.number(word, value)
        case "--schedules": schedules = try Self.number(word, value, atLeast: 1)
        case "--clients": options.maximumClients = Int(try Self.number(word, value, atLeast: 1))
        case "--operations": options.maximumOperations = Int(try Self.number(word, value, atLeast: 1))
        case "--minutes":
            guard let minutes = Double(value), minutes > 0, minutes < 1_000_000 else {
                throw Mistake(sentence: "--minutes wants a positive number")
            }
            self.minutes = minutes
        case "--commit": commit = value
        case "--check": corpus = value
        case "--regime":
            guard let regime = SimulationRegime(rawValue: value) else {
                throw Mistake(sentence: "--regime is inside or outside")
            }
            options.regime = regime
        case "--mutant":
            guard let mutant = Mutant(rawValue: value) else {
                throw Mistake(sentence: "--mutant is one of \(Mutant.allCases.map(\.rawValue).joined(separator: ", "))")
            }
            self.mutant = mutant
        case "--without": try readFaults(value)
        default: throw Mistake(sentence: "\(word) is unknown")
        }
    }

    private mutating func readFaults(_ value: String) throws(Mistake) {
        for name in value.split(separator: ",") {
            guard let fault = SimulationFault.allCases.first(where: { "\($0)" == name }) else {
                throw Mistake(sentence: "there is no fault \(name)")
            }
            options.withoutFaults.insert(SimulationFaults(fault))
        }
    }

    private static func number(_ word: String, _ value: String, atLeast least: UInt64 = 0) throws(Mistake) -> UInt64 {
        guard let number = UInt64(value), number >= least, number <= UInt64(Int.max) / 2 else {
            throw Mistake(sentence: "\(word) wants a number, \(least) at least")
        }
        return number
    }
}
