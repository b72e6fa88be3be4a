/// A short digest of a request, by which a repeated idempotency key is told from one that is used for something else.
///
/// FNV-1a of 128 bits over the operation and its fields, each with its length before it. No cryptography is needed: keys
/// belong to one caller, so whoever made two requests collide would get his own earlier answer; and by accident two of them
/// collide once in 2^128. It is the same in every process, on every machine and in every version.
package enum Fingerprint {
    package static func of(_ operation: String, _ fields: [String]) -> String {
        let padded = String(digest(of: [operation] + fields), radix: 16)
        return String(repeating: "0", count: 32 - padded.count) + padded
    }

    /// For a request with lines, which must be merged and sorted.
    static func of(_ operation: String, _ cart: Cart, _ fields: [String]) -> String {
        let lines = cart.lines.flatMap { line in
            [line.bucket.kind.rawValue, line.bucket.item, line.bucket.label, line.bucket.night, "\(line.quantity)"]
        }
        return of(operation, ["\(cart.lines.count)"] + lines + fields)
    }

    /// A length of time as a field: exact, and not by `Duration.description`, whose rounding may change.
    package static func text(of duration: Duration?) -> String {
        guard let (seconds, attoseconds) = duration?.components else { return "default" }
        return "\(seconds) s, \(attoseconds) as"
    }

    package static func digest(of fields: [String]) -> UInt128 {
        var digest = offsetBasis
        for field in fields {
            for byte in "\(field.utf8.count):".utf8 { add(byte, to: &digest) }
            for byte in field.utf8 { add(byte, to: &digest) }
        }
        return digest
    }

    private static let offsetBasis: UInt128 = 0x6c62_272e_07bb_0142_62b8_2175_6295_c58d
    private static let prime: UInt128 = 0x0000_0000_0100_0000_0000_0000_0000_013b

    private static func add(_ byte: UInt8, to digest: inout UInt128) {
        digest ^= UInt128(byte)
        digest &*= prime
    }
}
