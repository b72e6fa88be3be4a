struct Comparison {
    init(_ arguments: ArraySlice<String>) throws {}
    func run() async throws -> Bool { false }
}
