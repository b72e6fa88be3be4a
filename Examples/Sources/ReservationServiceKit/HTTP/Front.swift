import HTTPTypes
import Hummingbird
import Logging
import Metrics
import Reservations

/// What every request goes through, whatever it asks for: who asks, in which language, how often, for how long; and what
/// becomes of errors.
package struct Front<Inner: HTTPResponder>: HTTPResponder where Inner.Context == ShopContext {
    let inner: Inner
    let limiter: RateLimiter
    let requestTime: Duration
    let catalogue: Catalogue
    let logger: Logger

    package func respond(to request: Request, context: ShopContext) async throws -> Response {
        let start = ContinuousClock.now
        var context = context
        context.caller = Caller(request.headers)
        context.language = ReservationError.Language(acceptLanguage: request.headers[.acceptLanguage])
        let notes = RequestNotes()
        var response = await RequestNotes.$current.withValue(notes) { [context] in
            await answer(request, context)
        }
        decorate(&response, notes.values)
        record(request, context, response, notes.values, ContinuousClock.now - start)
        return response
    }

    private func answer(_ request: Request, _ context: ShopContext) async -> Response {
        do {
            if let wait = limiter.admit(context.caller?.holder ?? context.peer, path: request.uri.path) {
                throw Problem(.rateLimited, retryAfter: wait)
            }
            try refuseOtherSites(request)
            let response = try await limited(request, context)
            // The router answers by itself when it finds nothing. Ours say how long they may be kept.
            guard response.status.code >= 400, response.headers[.cacheControl] == nil else { return response }
            return Self.problem(for: response.status).response(in: context.language)
        } catch {
            return problem(for: error).response(in: context.language)
        }
    }

    /// A form or script of another site must not act for whoever has our page open.
    private func refuseOtherSites(_ request: Request) throws {
        guard request.method != .get, request.method != .head else { return }
        if let site = request.headers[.secFetchSite], site != "same-origin", site != "none" {
            throw Problem(.crossOrigin)
        }
        if let origin = request.headers[.origin], let host = request.head.authority,
            !origin.hasSuffix("://\(host)")
        {
            throw Problem(.crossOrigin)
        }
    }

    /// The handler is cancelled when its time is up, and answers what came of it: nothing is left half done.
    private func limited(_ request: Request, _ context: ShopContext) async throws -> Response {
        try await withThrowingTaskGroup(of: Response?.self) { group in
            group.addTask { try await inner.respond(to: request, context: context) }
            group.addTask {
                try? await Task.sleep(for: requestTime)
                return nil
            }
            var isLate = false
            while let result = await group.nextResult() {
                switch result {
                case .success(let response?):
                    group.cancelAll()
                    return response
                case .success(nil):
                    isLate = true
                    group.cancelAll()
                case .failure(let error):
                    group.cancelAll()
                    if isLate { throw Problem(.timedOut, retryAfter: .seconds(1)) }
                    throw error
                }
            }
            throw Problem(.timedOut, retryAfter: .seconds(1))
        }
    }

    private func problem(for error: any Error) -> Problem {
        switch error {
        case let problem as Problem: return problem
        case let error as ReservationError: return Problem(error, catalogue)
        case let error as any HTTPResponseError:
            return Self.problem(for: error.status)
        default:
            logger.error("A request failed in a way that nobody expected", metadata: ["error": "\(error)"])
            return Self.problem(for: .internalServerError)
        }
    }

    private static func problem(for status: HTTPResponse.Status) -> Problem {
        switch status {
        case .notFound: Problem(.noSuchResource)
        case .methodNotAllowed: Problem(.methodNotAllowed)
        case .contentTooLarge: Problem(.bodyTooLarge)
        case _ where status.code < 500: Problem(.malformedBody)
        default:
            Problem(code: "failed", status: .internalServerError, isRetryable: false) { language in
                language == .korean
                    ? "서비스에 문제가 생겼습니다. 잠시 후 다시 시도해 주세요."
                    : "Something is wrong on our side. Please try again later."
            }
        }
    }

    private func decorate(_ response: inout Response, _ notes: RequestNotes.Values) {
        if notes.isReplayed {
            response.headers[.idempotentReplayed] = "true"
        } else if let token = notes.fencingToken, response.status == .created {
            response.headers[.fencingToken] = String(token)
        }
        response.headers[.xContentTypeOptions] = "nosniff"
        response.headers[.referrerPolicy] = "same-origin"
        response.headers[.contentSecurityPolicy] =
            "default-src 'self'; base-uri 'none'; frame-ancestors 'none'; form-action 'self'; object-src 'none'"
    }

    private func record(
        _ request: Request, _ context: ShopContext, _ response: Response, _ notes: RequestNotes.Values,
        _ duration: Duration
    ) {
        // The pattern, not the path: that has ids in it.
        let route = context.endpointPath ?? "none"
        let labels = [
            ("method", request.method.rawValue), ("route", route), ("status", String(response.status.code)),
        ]
        Counter(label: "http_requests_total", dimensions: labels).increment()
        Metrics.Timer(label: "http_request_seconds", dimensions: [("route", route)]).record(duration: duration)
        guard !request.uri.path.hasPrefix("/metrics"), !request.uri.path.hasSuffix("z") else { return }
        var metadata: Logger.Metadata = [
            "method": "\(request.method.rawValue)", "route": "\(route)", "status": "\(response.status.code)",
            "milliseconds": "\(Int(duration / .milliseconds(1)))",
        ]
        if let token = notes.fencingToken, !notes.isReplayed { metadata["fence"] = "\(token)" }
        if notes.claims > 1 { metadata["claims"] = "\(notes.claims)" }
        if notes.staleFences > 0 { metadata["stale_fences"] = "\(notes.staleFences)" }
        context.logger.log(
            level: request.method == .get ? .debug : .info, "Request answered", metadata: metadata)
    }
}

extension HTTPField.Name {
    package static let idempotencyKey = constant("Idempotency-Key")
    package static let idempotentReplayed = constant("Idempotent-Replayed")
    package static let fencingToken = constant("Fencing-Token")
    package static let lastEventID = constant("Last-Event-ID")
    static let secFetchSite = constant("Sec-Fetch-Site")
    static let referrerPolicy = constant("Referrer-Policy")
    package static let xAccelBuffering = constant("X-Accel-Buffering")

    /// The names above are tokens, as the type asks.
    private static func constant(_ name: String) -> HTTPField.Name {
        guard let name = HTTPField.Name(name) else { preconditionFailure("\(name) is no field name") }
        return name
    }
}
