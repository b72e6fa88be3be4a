import AsyncHTTPClient
import Foundation
import NIOCore
import ReservationServiceKit
import TestSupport
import Testing

@Suite("Items and their live events")
struct ItemTests {
    @Test("Whoever has the version already is told so in a line", arguments: StoreKind.allCases)
    func tags(kind: StoreKind) async throws {
        try await TestService.with(kind) { service in
            let first = try await service.send(.GET, "/v1/items/concert/seats")
            let tag = try #require(first.header("ETag"))
            #expect((first.json["seats"] as? [Any])?.count == 96)
            let same = try await service.send(.GET, "/v1/items/concert/seats", headers: [("If-None-Match", tag)])
            #expect(same.status == 304)
            #expect(same.bytes.isEmpty)
            #expect(try await service.seat("A1", as: Buyer()).status == 201)
            let other = try await service.send(.GET, "/v1/items/concert/seats", headers: [("If-None-Match", tag)])
            #expect(other.status == 200)
            #expect(other.header("ETag") != tag)
            #expect(other.json["held"] as? Int == 1)
        }
    }

    @Test("Nights are found by their dates, and an item has only what it has")
    func nights() async throws {
        try await TestService.with { service in
            let some = try await service.send(
                .GET, "/v1/items/harbour-room/nights?from=2027-05-03&to=2027-05-05")
            let nights = (some.json["nights"] as? [[String: Any]] ?? []).compactMap { $0["night"] as? String }
            #expect(nights == ["2027-05-03", "2027-05-04", "2027-05-05"])
            for path in ["/v1/items/poster/seats", "/v1/items/concert/nights", "/v1/items/none", "/nothing"] {
                let answer = try await service.send(.GET, path)
                #expect(answer.status == 404)
                #expect(answer.code == "no-such-resource")
            }
        }
    }

    @Test(
        "A listener gets everything, then what changes; one that comes back gets what it missed",
        arguments: StoreKind.allCases)
    func liveEvents(kind: StoreKind) async throws {
        try await TestService.with(kind) { service in
            try await Listener.with(service, "concert") { first in
                let whole = try await first.next()
                #expect(whole.name == "state")
                #expect(whole.buckets.count == 96)
                #expect(try await service.seat("H1", as: Buyer()).status == 201)
                let change = try await first.next()
                #expect(change.name == "delta")
                #expect(change.buckets.map { $0["seat"] as? String } == ["H1"])
                #expect(change.version > whole.version)
                try await Listener.with(service, "concert", after: whole.version) { second in
                    let missed = try await second.next()
                    #expect(missed.name == "delta")
                    #expect(missed.version == change.version)
                    #expect(missed.buckets.map { $0["seat"] as? String } == ["H1"])
                }
                try await Listener.with(service, "concert", after: 1) { stranger in
                    let event = try await stranger.next()
                    #expect(event.name == "state")
                }
            }
        }
    }

    @Test("Who may not listen any more is told when to come back")
    func tooManyListeners() async throws {
        try await TestService.with { settings in
            settings.limits.streams = 1
        } _: { service in
            try await Listener.with(service, "poster") { listener in
                _ = try await listener.next()
                let refused = try await service.send(.GET, "/v1/items/poster/events")
                #expect(refused.status == 503)
                #expect(refused.code == "too-many-streams")
                #expect(refused.header("Retry-After") != nil)
            }
        }
    }
}

/// Reads server-sent events.
final class Listener {
    struct Event {
        let name: String
        let version: Int64
        let buckets: [[String: Any]]
    }

    private var body: HTTPClientResponse.Body.AsyncIterator
    private var text = ""

    private init(_ body: HTTPClientResponse.Body.AsyncIterator) { self.body = body }

    static func with(
        _ service: TestService, _ item: String, after version: Int64? = nil, _ use: (Listener) async throws -> Void
    ) async throws {
        var request = HTTPClientRequest(url: "\(service.running.url)/v1/items/\(item)/events")
        if let version { request.headers.add(name: "Last-Event-ID", value: "\(version)") }
        let response = try await service.http.execute(request, timeout: .seconds(60))
        try #require(response.status == .ok)
        try await use(Listener(response.body.makeAsyncIterator()))
    }

    func next() async throws -> Event {
        while true {
            if let end = text.range(of: "\n\n") {
                let block = text[..<end.lowerBound]
                text = String(text[end.upperBound...])
                if let event = Self.event(block) { return event }
                continue
            }
            let part = try #require(try await body.next(), "the stream has ended")
            text += String(buffer: part)
        }
    }

    private static func event(_ block: Substring) -> Event? {
        var fields: [String: String] = [:]
        for line in block.split(separator: "\n") {
            guard let colon = line.range(of: ": ") else { continue }
            fields[String(line[..<colon.lowerBound])] = String(line[colon.upperBound...])
        }
        guard let name = fields["event"], let id = fields["id"].flatMap({ Int64($0) }), let data = fields["data"],
            let json = (try? JSONSerialization.jsonObject(with: Data(data.utf8))) as? [String: Any]
        else { return nil }
        return Event(name: name, version: id, buckets: json["buckets"] as? [[String: Any]] ?? [])
    }
}
