import RedisLocks
import RedisLocksTesting
import TestSupport

/// One thing that a client, an operator or an accident does to a node.
enum ConformanceStep: Sendable {
    case acquire(AcquireRequest, runID: String)
    case confirm(names: [LockName], owner: OwnerID, top: Int64, counterExpiry: Int64)
    case extend(names: [LockName], owner: OwnerID, ttl: Int64, top: Int64, counterExpiry: Int64)
    case release(names: [LockName], owner: OwnerID)
    /// What stands for expiry, eviction and operators.
    case delete(key: String)
    /// `SET key value [PX ms]`: foreign lockers, corrupt counters.
    case set(key: String, value: String, expiry: Int64?)
    /// `HSET key field value`: the boot record, or a key of the wrong type.
    case setField(key: String, field: String, value: String)
    case flush
}

extension ConformanceStep: CustomStringConvertible {
    var description: String {
        func list(_ names: [LockName]) -> String { names.map { String($0.string.prefix(16)) }.joined(separator: "+") }
        func short(_ owner: OwnerID) -> String { String(decoding: owner.bytes.prefix(4), as: UTF8.self) }
        return switch self {
        case .acquire(let request, let runID):
            "acquire \(list(request.names)) by \(short(request.owner)), block \(request.block), guard "
                + "\(request.guardTime), \(runID), durable \(request.isDurable)"
        case .confirm(let names, let owner, let top, _): "confirm \(list(names)) by \(short(owner)) at \(top)"
        case .extend(let names, let owner, _, let top, _): "extend \(list(names)) by \(short(owner)) at \(top)"
        case .release(let names, let owner): "release \(list(names)) by \(short(owner))"
        case .delete(let key): "delete \(key.prefix(16))"
        case .set(let key, let value, _): "set \(key.prefix(16)) to \(value)"
        case .setField(let key, let field, let value): "set \(key.prefix(16)).\(field) to \(value)"
        case .flush: "flush"
        }
    }
}

/// Draws steps that get into each other's way: few owners, few names, everything that may vanish does.
struct ConformanceGenerator {
    /// What the tokens' time anchor is cut to.
    enum Mode: Sendable, CaseIterable {
        /// Longer than the time since 1970: the anchor is 0, and tokens are small numbers.
        case countersOnly
        case anchored
    }

    private var generator: SeededGenerator
    private let mode: Mode
    private let names: [LockName]
    private let owners: [OwnerID]
    private var lastAcquire: AcquireRequest?
    /// Tops that were granted, for confirmations and extensions that are fresh or stale.
    private var tops: [Int64] = [1]

    init(seed: UInt64, mode: Mode) throws(LockError) {
        var generator = SeededGenerator(seed: seed)
        self.mode = mode
        var names: [LockName] = []
        for name in ["a", "name with spaces", "Straße:日本", String(repeating: "n", count: LockName.maximumLength)] {
            names.append(try LockName(name))
        }
        self.names = names
        owners = (0..<3).map { _ in OwnerID(using: &generator) }
        self.generator = generator
    }

    mutating func granted(top: Int64) {
        tops.append(top)
        if tops.count > 6 { tops.removeFirst() }
    }

    mutating func next(now: WallTime) -> ConformanceStep {
        switch Int.random(in: 0..<1000, using: &generator) {
        case ..<420: acquire()
        case ..<760: afterwards()
        case ..<850: .delete(key: someName().string)
        case ..<900: .delete(key: fenceKey())
        case ..<920: .set(key: someName().string, value: "somebody else", expiry: generator.chance(50) ? ttl() : nil)
        case ..<950: .set(key: fenceKey(), value: counter(), expiry: generator.chance(50) ? counterExpiry() : nil)
        case ..<980: boot(now: now)
        case ..<985: .setField(key: fenceKey(), field: "wrong", value: "type")
        case ..<990: .setField(key: someName().string, field: "wrong", value: "type")
        case ..<997: .delete(key: LockName.bootKey)
        default: .flush
        }
    }

    private mutating func acquire() -> ConformanceStep {
        var request = AcquireRequest(
            names: someNames(), owner: owner(), ttl: ttl(),
            granularityMicroseconds: mode == .countersOnly
                ? 4_000_000_000_000_000 : generator.chance(50) ? 1 : 1_000_000,
            block: generator.chance(50) ? 1 : Int64.random(in: 2...32, using: &generator),
            counterExpiry: counterExpiry(),
            guardTime: generator.chance(70)
                ? 0 : [10_000, 60_000, 1_000_000_000_000].randomElement(using: &generator) ?? 1,
            isDurable: generator.chance(50))
        if generator.chance(25), let lastAcquire { request = lastAcquire }
        lastAcquire = request
        return .acquire(request, runID: generator.chance(80) ? "run-1" : "run-2")
    }

    /// What an owner does after its ACQUIRE, more often than not the last one.
    private mutating func afterwards() -> ConformanceStep {
        var (names, owner) = (someNames(), owner())
        if generator.chance(60), let lastAcquire { (names, owner) = (lastAcquire.names, lastAcquire.owner) }
        return switch Int.random(in: 0..<3, using: &generator) {
        case 0: .confirm(names: names, owner: owner, top: top(), counterExpiry: counterExpiry())
        case 1: .extend(names: names, owner: owner, ttl: ttl(), top: top(), counterExpiry: counterExpiry())
        default: .release(names: names, owner: owner)
        }
    }

    private mutating func boot(now: WallTime) -> ConformanceStep {
        if generator.chance(5) { return .set(key: LockName.bootKey, value: "wrong type", expiry: nil) }
        let offset: Int64 = [0, 30_000, 90_000, -100_000_000].randomElement(using: &generator) ?? 0
        let since = generator.chance(15) ? "abc" : generator.chance(15) ? "0" : "\(now.milliseconds - offset)"
        return .setField(key: LockName.bootKey, field: "since", value: since)
    }

    private mutating func someName() -> LockName {
        names.randomElement(using: &generator) ?? names[0]
    }

    private mutating func someNames() -> [LockName] {
        let count = generator.chance(60) ? 1 : Int.random(in: 2...names.count, using: &generator)
        return Array(names.shuffled(using: &generator).prefix(count))
    }

    private mutating func owner() -> OwnerID {
        owners.randomElement(using: &generator) ?? owners[0]
    }

    private mutating func fenceKey() -> String {
        String(decoding: someName().fenceKey, as: UTF8.self)
    }

    /// Far longer than a test, and far apart, so that a slow machine cannot confuse them.
    private mutating func ttl() -> Int64 {
        Int64.random(in: 1...5, using: &generator) * 100_000_000
    }

    private mutating func counterExpiry() -> Int64 {
        Int64.random(in: 1...3, using: &generator) * 1_000_000_000
    }

    private mutating func top() -> Int64 {
        let known = tops.randomElement(using: &generator) ?? 1
        return max(1, known + (generator.chance(60) ? 0 : Int64.random(in: -2...2, using: &generator)))
    }

    private mutating func counter() -> String {
        let texts = [
            "abc", "12x", "", " 12", "-5", "1.5", "0x10", "1e3", "007", "99999999999999999999", "9007199254740980",
            "9007199254740992",
        ]
        return generator.chance(30) ? "\(top())" : texts.randomElement(using: &generator) ?? ""
    }
}
