import Testing

/// Like `#expect(actual == expected)`, whose macro cannot call a mutating method on a variable.
func expect<Value: Equatable>(
    _ actual: Value, is expected: Value, _ comment: Comment? = nil, sourceLocation: SourceLocation = #_sourceLocation
) {
    #expect(actual == expected, comment, sourceLocation: sourceLocation)
}
