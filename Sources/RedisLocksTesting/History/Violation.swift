/// Something that a correct lock never does, found in a history.
package struct Violation: Error, Sendable, Hashable, CustomStringConvertible {
    package enum Kind: String, Sendable, Hashable, CaseIterable {
        // Tokens
        case equalTokens, invertedTokens, invertedTokensOfClient
        // Exclusion
        case overlappingLeases, notLinearizable
        /// The search gave up. It says nothing, and is no success.
        case undecided
        // Store
        case storeTokenWentDown, staleWrite, lostUpdate, wrongValueRead, wrongValueWritten, writeWithoutRead
        // Protected set
        case lostElement, inventedElement
        // Leaks
        case leakedKey, leakedConnections, leakedTasks
    }

    package let kind: Kind
    package let sentence: String
    /// The operations involved, by id.
    package let operations: [Int]

    package init(_ kind: Kind, _ sentence: String, operations: [Int] = []) {
        self.kind = kind
        self.sentence = sentence
        self.operations = operations
    }

    package var description: String { "\(kind): \(sentence)" }
}

extension LockHistory {
    /// The grants that cover each name, in no order: an operation on a set counts for each of its names.
    func grantsByName() -> GrantsByName {
        var byName: [String: [Grant]] = [:]
        for operation in operations {
            guard let token = operation.token else { continue }
            let names = operation.names.count > 1 ? Array(Set(operation.names)) : operation.names
            for name in names { byName[name, default: []].append(Grant(operation, token)) }
        }
        return byName.sorted { $0.key < $1.key }.map { (name: $0.key, grants: $0.value) }
    }

    typealias GrantsByName = [(name: String, grants: [Grant])]

    /// An operation that was granted.
    struct Grant: Sendable {
        let operation: LockOperation
        let token: Int64

        init(_ operation: LockOperation, _ token: Int64) {
            self.operation = operation
            self.token = token
        }

        var id: Int { operation.id }
        /// When somebody was told; a grant that nobody was told of precedes nothing.
        var returned: Int64 { operation.returned ?? .max }
    }
}

extension LockHistory.Grant: CustomStringConvertible {
    var description: String { "operation \(id) of \(operation.client) (token \(token))" }
}
