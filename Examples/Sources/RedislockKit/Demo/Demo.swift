package final class Demo: Sendable {
    package init(node: String, allowPlaintextPassword: Bool, duration: Duration) {}
    package func run() async -> (status: ExitStatus, sentence: String?) { (.success, nil) }
    package func interrupt(_ signal: Int32) {}
}
