/// A set of small numbers that is mostly full at its beginning and empty at its end, with a key as short as the rest.
package struct CompactSet {
    /// Equal for equal sets, and only for them.
    package struct Key: Hashable, Sendable {
        fileprivate let fullWords: Int
        fileprivate let words: [UInt64]
    }

    private var words: [UInt64]
    private var fullWords = 0
    /// No word from here on has an element.
    private var end = 0

    package init(count: Int) {
        words = Array(repeating: 0, count: (count + 63) / 64)
    }

    package mutating func insert(_ element: Int) {
        let word = element / 64
        words[word] |= 1 << UInt64(element % 64)
        end = max(end, word + 1)
        while fullWords < end, words[fullWords] == .max { fullWords += 1 }
    }

    package mutating func remove(_ element: Int) {
        let word = element / 64
        words[word] &= ~(1 << UInt64(element % 64))
        fullWords = min(fullWords, word)
        while end > 0, words[end - 1] == 0 { end -= 1 }
    }

    package var key: Key { Key(fullWords: fullWords, words: Array(words[fullWords..<max(fullWords, end)])) }
}
