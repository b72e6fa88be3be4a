import Dispatch
import Reactor
import Testing

@Suite("Addresses, off the Reactor", .timeLimit(.minutes(1)))
struct ResolverTests {
    /// Guard: used on the Reactor only.
    private final class Box: @unchecked Sendable {
        let resolver: Resolver

        init(_ resolver: Resolver) {
            self.resolver = resolver
        }
    }

    @Test("those who ask share one lookup, and one who gave up is neither told nor kept")
    func shared() async throws {
        try await withReactor { reactor in
            let gate = DispatchSemaphore(value: 0)
            let lookups = Record<String>()
            let box = Box(
                Resolver(reactor: reactor) { host in
                    lookups.append(host)
                    gate.wait()
                    return host == "b" ? .failure(Resolver.LookupFailure(text: "unknown")) : .success(["10.0.0.1"])
                })
            let told = Record<String>()
            await reactor.perform {
                let questions = (0..<3).map { number in
                    box.resolver.resolve(["a", "b"]) { answer in
                        let found = answer.compactMapValues { try? $0.get() }
                        told.append("\(number) \(found) \(box.resolver.waiterCount)")
                    }
                }
                box.resolver.abandon(questions[1])
                #expect(box.resolver.waiterCount == 2)
            }
            gate.signal()
            gate.signal()
            let answers = await told.wait(for: 2)
            #expect(answers == [#"0 ["a": ["10.0.0.1"]] 0"#, #"2 ["a": ["10.0.0.1"]] 0"#])
            #expect(lookups.elements == ["a", "b"])
        }
    }
}
