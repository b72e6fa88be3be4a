import Foundation
import Hummingbird
import Reservations

/// What `POST /v1/reservations` takes.
struct ReservationRequest: Decodable {
    struct Line: Decodable {
        let item: String
        let seat: String?
        let night: String?
        let quantity: Int?
    }

    let lines: [Line]
    /// Seconds.
    let ttl: Int?

    func cart() throws -> [Reservations.Line] {
        try lines.enumerated().map { index, line in
            let bucket: Bucket =
                switch (line.seat, line.night) {
                case (nil, nil): .counted(line.item)
                case (let seat?, nil): .seat(line.item, seat)
                case (nil, let night?): .night(line.item, night)
                case (_?, _?): throw Problem.invalid("/lines/\(index)", "A line has a seat or a night, not both.")
                }
            return Reservations.Line(bucket, quantity: line.quantity ?? 1)
        }
    }
}

struct ExtensionRequest: Decodable {
    /// Seconds.
    let ttl: Int?
}

struct StockRequest: Decodable {
    let delta: Int
    let reason: String
    let seat: String?
    let night: String?
}

struct RushRequest: Decodable {
    let item: String
    let units: Int
    let buyers: Int
    let seconds: Int
}

extension Request {
    /// The body as JSON of this form. An empty body is `{}` where that is allowed.
    func decoded<Body: Decodable>(
        _ type: Body.Type, upTo limit: Int, orEmpty: Bool = false
    ) async throws -> Body {
        let bytes = try await body.collect(upTo: limit)
        if bytes.readableBytes == 0, orEmpty { return try JSONDecoder().decode(type, from: Data("{}".utf8)) }
        guard headers[.contentType]?.lowercased().hasPrefix("application/json") == true else {
            throw Problem(.unsupportedMediaType)
        }
        do {
            return try JSONDecoder().decode(type, from: Data(bytes.readableBytesView))
        } catch let error as DecodingError {
            throw Self.problem(error)
        }
    }

    private static func problem(_ error: DecodingError) -> Problem {
        switch error {
        case .keyNotFound(let key, let context):
            .invalid(pointer(context.codingPath + [key]), "\"\(key.stringValue)\" is missing.")
        case .typeMismatch(_, let context) where !context.codingPath.isEmpty:
            .invalid(pointer(context.codingPath), "This has another type than expected.")
        case .valueNotFound(_, let context) where !context.codingPath.isEmpty:
            .invalid(pointer(context.codingPath), "This must not be null.")
        default: Problem(.malformedBody)
        }
    }

    private static func pointer(_ path: [any CodingKey]) -> String {
        path.map { "/" + ($0.intValue.map(String.init) ?? $0.stringValue) }.joined()
    }

    /// A duration in whole seconds.
    static func duration(_ seconds: Int?) throws -> Duration? {
        guard let seconds else { return nil }
        guard (1...86_400).contains(seconds) else { throw Problem.invalid("/ttl", "A hold lasts from 1 s to a day.") }
        return .seconds(seconds)
    }
}
