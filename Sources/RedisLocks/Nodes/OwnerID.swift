/// Proof of ownership: 160 random bits, fresh for every attempt, never shown.
///
/// A value that was reused would let a late duplicate of an old request act for a new one.
package struct OwnerID: Hashable, Sendable {
    /// 40 hexadecimal digits.
    package let bytes: [UInt8]

    /// For the wire only.
    package var string: String { String(decoding: bytes, as: UTF8.self) }

    package init(bytes: [UInt8]) {
        self.bytes = bytes
    }

    package init(using generator: inout some RandomNumberGenerator) {
        let digits = Array("0123456789abcdef".utf8)
        var bytes: [UInt8] = []
        bytes.reserveCapacity(40)
        for word in 0..<3 {
            var random: UInt64 = generator.next()
            for _ in 0..<(word == 2 ? 8 : 16) {
                bytes.append(digits[Int(random & 15)])
                random >>= 4
            }
        }
        self.bytes = bytes
    }
}

extension OwnerID: CustomStringConvertible, CustomReflectable {
    package var description: String { "<owner>" }
    package var customMirror: Mirror { Mirror(self, children: []) }
}
