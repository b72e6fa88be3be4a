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

    @Test("A majority that will refuse until a setting is changed ends the wait, in whatever order they answer")
    func refusalsInAnyOrder() async throws {
        var configuration = RedisLocks.Configuration()
        configuration.maximumTTL = .seconds(10)
        try await LockTestBed.with(nodes: 3, configuration: configuration) { bed in
            // Decided at two answers, of which one is never a refusal: the second one always comes late.
            bed.nodes[0].forgetEverything()
            bed.nodes[1].inject(.refuse("NOPERM no permission"), into: [.acquire])
            bed.nodes[2].inject(.refuse("NOPERM no permission"), into: [.acquire])
            let start = bed.now
            let error = await #expect(throws: LockError.self) {
                try await bed.advanceUntilDone { try await bed.locks.acquire("job", wait: .upTo(.seconds(60))) }
            }
            #expect(error?.code == .misconfigured, "\(error as Any)")
            #expect(bed.now - start < .seconds(2))
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
