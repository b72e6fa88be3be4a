/// Schedules that once failed, one a line: `SEED inside|outside # what it found`.
package struct SimulationCorpus: Sendable {
    package struct Entry: Sendable, Equatable {
        package let seed: UInt64
        package let regime: SimulationRegime
    }

    package struct Mistake: Error {
        package let line: String
    }

    package let entries: [Entry]

    package init(parsing text: String) throws(Mistake) {
        var entries: [Entry] = []
        for line in text.split(whereSeparator: \.isNewline) {
            let words = line.prefix { $0 != "#" }.split(separator: " ")
            if words.isEmpty { continue }
            guard words.count == 2, let seed = UInt64(words[0]),
                let regime = SimulationRegime(rawValue: String(words[1]))
            else { throw Mistake(line: String(line)) }
            entries.append(Entry(seed: seed, regime: regime))
        }
        self.entries = entries
    }
}
