/// Texts that name something (items, holders, keys) are compared by their bytes, as databases compare them: `String` holds the
/// two spellings of "é" for one text, and would show the reservations of one holder to another.
extension String {
    package func hasSameBytes(as other: String) -> Bool {
        utf8.elementsEqual(other.utf8)
    }
}

extension Hasher {
    /// For types whose `==` is ``Swift/String/hasSameBytes(as:)``.
    mutating func combine(bytesOf text: String) {
        combine(text.utf8.count)
        for byte in text.utf8 { combine(byte) }
    }
}

extension Reservation {
    /// Whether it is this holder's; everything is an operator's, who is `nil`.
    package func belongs(to holder: String?) -> Bool {
        holder.map { $0.hasSameBytes(as: self.holder) } ?? true
    }
}
