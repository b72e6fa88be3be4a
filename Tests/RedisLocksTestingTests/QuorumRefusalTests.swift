import RedisLocks
import RedisLocksTesting
import Testing

@Suite("A quorum that refuses", .timeLimit(.minutes(1)))
struct QuorumRefusalTests {
    @Test("A majority that is gone is what is told, also when the node that is left is held by somebody else")
    func heldAtTheOnlyNodeLeft() async throws {
        try await LockTestBed.with(nodes: 3) { bed in
            bed.hold("job")
            bed.nodes[1].inject(.unreachable)
            bed.nodes[2].inject(.hang)
            let error = await #expect(throws: LockError.self) {
                try await bed.advanceUntilDone { try await bed.locks.acquire("job", wait: .upTo(.seconds(2))) }
            }
            #expect(error?.code == .quorumUnreachable, "\(error as Any)")
        }
    }

    @Test("A status is not \"free\" because nodes that may have forgotten the holder do not know of one")
    func freeIsNoAnswerOfTheForgetful() async throws {
        try await LockTestBed.with(nodes: 3) { bed in
            try await bed.locks.acquire("job").release()
            for node in bed.nodes.dropFirst() { node.restart() }
            let status = try await bed.locks.status(of: "job")
            #expect(status.nodes.compactMap(\.quarantine).count == 2)
            #expect(status.isHeld == nil)
        }
    }
}
