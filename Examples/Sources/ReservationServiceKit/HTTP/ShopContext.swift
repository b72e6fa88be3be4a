import Hummingbird
import Logging
import NIOCore
import Reservations

/// What is known of a request while it is served.
package struct ShopContext: RequestContext {
    package var coreContext: CoreRequestContextStorage
    /// Who asks; `nil` for somebody who has shown nothing.
    package var caller: Caller?
    package var language = ReservationError.Language.english
    package let peer: String

    package init(source: Source) {
        coreContext = CoreRequestContextStorage(source: source)
        peer = source.channel.remoteAddress?.ipAddress ?? "local"
    }

    /// Who asks, or the problem that nobody knows.
    func requireCaller() throws -> Caller {
        guard let caller else { throw Problem(.unauthenticated) }
        return caller
    }
}
