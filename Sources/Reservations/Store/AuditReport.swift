/// What the guarantee check found. It reports and never repairs: a deviation is a bug, and evidence.
public struct AuditReport: Sendable, Hashable, Codable {
    /// Something that must never be.
    public struct Finding: Sendable, Hashable, Codable {
        /// Which rule is broken.
        public enum Rule: String, Sendable, Hashable, Codable, CaseIterable {
            /// A bucket's `held` is not the sum of its live lines.
            case heldByLines
            /// A bucket's `sold` is not the sum of its confirmed lines.
            case soldByLines
            /// A bucket's `capacity`, `held` or `sold` is not the sum of its ledger.
            case ledger
            /// More is held and sold than there is.
            case oversell
            /// A live line of a reservation that is over, or a reservation that lives without lines.
            case lines
            /// A hold that is overdue by more than the grace: the sweeper does not run.
            case overdue
            /// A request that is done and has no answer.
            case request
        }

        /// Which rule is broken.
        public let rule: Rule
        /// One sentence with the numbers.
        public let detail: String

        /// For stores.
        public init(_ rule: Rule, _ detail: String) {
            self.rule = rule
            self.detail = detail
        }
    }

    /// Nothing, when all is well. At most ``maximumFindings``.
    public let findings: [Finding]
    /// How many buckets were looked at.
    public let buckets: Int
    /// How many reservations were looked at.
    public let reservations: Int

    /// How many findings a report has at most.
    public static let maximumFindings = 100

    /// For stores. Findings beyond ``maximumFindings`` are left out.
    public init(findings: [Finding], buckets: Int, reservations: Int) {
        self.findings = Array(findings.prefix(Self.maximumFindings))
        self.buckets = buckets
        self.reservations = reservations
    }

    /// Whether every rule holds.
    public var isClean: Bool { findings.isEmpty }
}
