import CoreMetrics
import Synchronization

/// Collects what is counted in this process, and writes it in Prometheus' text format.
///
/// Timers are histograms in seconds. Gauges and recorders keep the last value. A metric is never forgotten: its labels must
/// come from small sets.
package final class PrometheusRegistry: MetricsFactory, Sendable {
    enum Kind: String { case counter, gauge, histogram }

    struct Key: Hashable {
        let name: String
        let labels: String
    }

    struct Histogram {
        static let bounds = [0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10]
        var buckets = [Int](repeating: 0, count: bounds.count)
        var count = 0
        var sum = 0.0

        mutating func record(_ seconds: Double) {
            for (index, bound) in Self.bounds.enumerated() where seconds <= bound { buckets[index] += 1 }
            count += 1
            sum += seconds
        }
    }

    private struct State {
        var kinds: [String: Kind] = [:]
        var values: [Key: Double] = [:]
        var histograms: [Key: Histogram] = [:]
    }

    private let state = Mutex(State())

    package init() {}

    // MARK: MetricsFactory

    package func makeCounter(label: String, dimensions: [(String, String)]) -> any CounterHandler {
        Cell(self, key(label, dimensions, .counter))
    }

    package func makeFloatingPointCounter(
        label: String, dimensions: [(String, String)]
    ) -> any FloatingPointCounterHandler { Cell(self, key(label, dimensions, .counter)) }

    package func makeRecorder(
        label: String, dimensions: [(String, String)], aggregate: Bool
    ) -> any RecorderHandler { Cell(self, key(label, dimensions, .gauge)) }

    package func makeMeter(label: String, dimensions: [(String, String)]) -> any MeterHandler {
        Cell(self, key(label, dimensions, .gauge))
    }

    package func makeTimer(label: String, dimensions: [(String, String)]) -> any TimerHandler {
        Cell(self, key(label, dimensions, .histogram))
    }

    package func destroyCounter(_ handler: any CounterHandler) {}
    package func destroyFloatingPointCounter(_ handler: any FloatingPointCounterHandler) {}
    package func destroyRecorder(_ handler: any RecorderHandler) {}
    package func destroyMeter(_ handler: any MeterHandler) {}
    package func destroyTimer(_ handler: any TimerHandler) {}

    // MARK: Recording

    fileprivate func add(_ amount: Double, to key: Key) { state.withLock { $0.values[key, default: 0] += amount } }

    fileprivate func set(_ value: Double, _ key: Key) { state.withLock { $0.values[key] = value } }

    fileprivate func record(_ seconds: Double, _ key: Key) {
        state.withLock { $0.histograms[key, default: Histogram()].record(seconds) }
    }

    private func key(_ label: String, _ dimensions: [(String, String)], _ kind: Kind) -> Key {
        let key = Key(name: Self.name(label), labels: Self.labels(dimensions))
        state.withLock { state in
            // The first says what it is: one name is of one kind.
            if state.kinds[key.name] == nil { state.kinds[key.name] = kind }
            if kind != .histogram, state.values[key] == nil { state.values[key] = 0 }
        }
        return key
    }

    // MARK: Writing

    /// The sum of a counter over all its labels.
    package func total(_ name: String) -> Int {
        state.withLock { state in Int(state.values.filter { $0.key.name == name }.values.reduce(0, +)) }
    }

    package func text() -> String {
        let state = state.withLock { state in (state.kinds, state.values, state.histograms) }
        var lines: [String] = []
        let values = Dictionary(grouping: state.1) { $0.key.name }
        let histograms = Dictionary(grouping: state.2) { $0.key.name }
        for (name, kind) in state.0.sorted(by: { $0.key < $1.key }) {
            lines.append("# TYPE \(name) \(kind.rawValue)")
            for (key, value) in (values[name] ?? []).sorted(by: { $0.key.labels < $1.key.labels }) {
                lines.append("\(name)\(Self.braced(key.labels)) \(Self.number(value))")
            }
            for (key, histogram) in (histograms[name] ?? []).sorted(by: { $0.key.labels < $1.key.labels }) {
                lines += Self.lines(name, key.labels, histogram)
            }
        }
        return lines.joined(separator: "\n") + "\n"
    }

    private static func lines(_ name: String, _ labels: String, _ histogram: Histogram) -> [String] {
        let comma = labels.isEmpty ? "" : ","
        var lines = zip(Histogram.bounds, histogram.buckets).map {
            "\(name)_bucket{\(labels)\(comma)le=\"\(number($0))\"} \($1)"
        }
        lines.append("\(name)_bucket{\(labels)\(comma)le=\"+Inf\"} \(histogram.count)")
        lines.append("\(name)_sum\(braced(labels)) \(number(histogram.sum))")
        lines.append("\(name)_count\(braced(labels)) \(histogram.count)")
        return lines
    }

    private static func braced(_ labels: String) -> String { labels.isEmpty ? "" : "{\(labels)}" }

    private static func number(_ value: Double) -> String {
        value == value.rounded() && abs(value) < 1e15 ? String(Int64(value)) : String(value)
    }

    private static func name(_ label: String) -> String {
        let name = label.map { $0.isASCII && ($0.isLetter || $0.isNumber) || $0 == "_" || $0 == ":" ? $0 : "_" }
        return (name.first?.isNumber == true ? "_" : "") + String(name)
    }

    private static func labels(_ dimensions: [(String, String)]) -> String {
        dimensions.map { pair in
            let value = pair.1.map { character in
                switch character {
                case "\\": "\\\\"
                case "\"": "\\\""
                case "\n": "\\n"
                default: String(character)
                }
            }.joined()
            return "\(name(pair.0))=\"\(value)\""
        }.joined(separator: ",")
    }
}

/// One metric with one set of labels.
private final class Cell: CounterHandler, FloatingPointCounterHandler, RecorderHandler, MeterHandler, TimerHandler {
    private let registry: PrometheusRegistry
    private let key: PrometheusRegistry.Key

    init(_ registry: PrometheusRegistry, _ key: PrometheusRegistry.Key) {
        self.registry = registry
        self.key = key
    }

    func increment(by amount: Int64) { registry.add(Double(amount), to: key) }
    func increment(by amount: Double) { registry.add(amount, to: key) }
    func reset() { registry.set(0, key) }
    func record(_ value: Int64) { registry.set(Double(value), key) }
    func record(_ value: Double) { registry.set(value, key) }
    func set(_ value: Int64) { registry.set(Double(value), key) }
    func set(_ value: Double) { registry.set(value, key) }
    func decrement(by amount: Double) { registry.add(-amount, to: key) }
    func recordNanoseconds(_ duration: Int64) { registry.record(Double(duration) / 1e9, key) }
}
