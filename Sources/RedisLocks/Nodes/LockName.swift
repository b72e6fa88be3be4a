/// A name that can be locked, checked. Compared by its bytes: `String` would merge names that Redis keeps apart.
package struct LockName: Hashable, Sendable {
    package let bytes: [UInt8]

    /// The longest name, in bytes of UTF-8.
    package static let maximumLength = 512
    /// The node's own record (see the restart guard); never a lock.
    package static let bootKey = "redis-locks:boot"
    private static let fenceSuffix = ":fence"

    /// - Throws: ``LockError/Code/misconfigured`` for a name that cannot be a key of ours.
    package init(_ name: String) throws(LockError) {
        let bytes = Array(name.utf8)
        guard let reason = Self.flaw(of: bytes, name: name) else {
            self.bytes = bytes
            return
        }
        throw LockError(
            .misconfigured,
            "The lock name \(Self.quoted(name)) \(reason); use 1 to \(Self.maximumLength) bytes of UTF-8 without control "
                + "characters or braces.",
            names: [name]
        )
    }

    package var string: String { String(decoding: bytes, as: UTF8.self) }
    /// The key of the name's fencing counter; the braces keep both keys in one slot of a Redis Cluster.
    package var fenceKey: [UInt8] {
        var key: [UInt8] = []
        key.reserveCapacity(bytes.count + 8)
        key.append(UInt8(ascii: "{"))
        key += bytes
        key.append(UInt8(ascii: "}"))
        key += Self.fenceSuffix.utf8
        return key
    }
    package var fenceKeyString: String { "{\(string)}:fence" }

    private static func flaw(of bytes: [UInt8], name: String) -> String? {
        if bytes.isEmpty { return "is empty" }
        if bytes.count > maximumLength { return "has \(bytes.count) bytes" }
        // All of C0, DEL, and C1 (which are characters, not bytes).
        let isControl = { (scalar: Unicode.Scalar) in scalar.value < 0x20 || (0x7F...0x9F).contains(scalar.value) }
        if name.unicodeScalars.contains(where: isControl) { return "has a control character" }
        if bytes.contains(UInt8(ascii: "{")) || bytes.contains(UInt8(ascii: "}")) { return "has a brace" }
        if bytes.suffix(fenceSuffix.utf8.count).elementsEqual(fenceSuffix.utf8) {
            return "ends in \"\(fenceSuffix)\", which fencing counters do"
        }
        if bytes.elementsEqual(bootKey.utf8) { return "is the key of the restart guard" }
        return nil
    }

    /// What a message may show of a bad name: short, and printable.
    private static func quoted(_ name: String) -> String {
        let shown = name.unicodeScalars.prefix(64).map {
            $0.value < 0x20 || (0x7F...0x9F).contains($0.value) ? "?" : String($0)
        }
        return "\"" + shown.joined() + (name.unicodeScalars.count > 64 ? "..." : "") + "\""
    }
}
