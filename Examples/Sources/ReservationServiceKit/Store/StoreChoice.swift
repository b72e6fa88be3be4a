import RedislockKit
import Reservations
import ReservationsPostgreSQL
import ReservationsSQLite

/// Opens the store that an argument names.
package enum StoreChoice {
    package static func open(_ argument: String) async throws(Failure) -> any QueueingReservationStore {
        do throws(StoreError) {
            if argument.hasPrefix("sqlite:") {
                return try await SQLiteReservationStore.open(String(argument.dropFirst("sqlite:".count)))
            }
            if argument.hasPrefix("postgres://") || argument.hasPrefix("postgresql://") {
                return try PostgreSQLReservationStore(url: argument)
            }
        } catch {
            throw Failure(error)
        }
        throw Failure(.usage, "--store is sqlite:PATH or postgres://..., and not what was given")
    }
}

extension Failure {
    package init(_ error: StoreError) {
        let status: ExitStatus =
            switch error.code {
            case .busy: .notObtained
            case .unavailable: .unreachable
            case .misconfigured: .configuration
            default: .software
            }
        self.init(status, error.message)
    }

    package init(_ error: ReservationError) {
        let status: ExitStatus =
            switch error.code {
            case .busy: .notObtained
            case .misconfigured, .invalidRequest: .configuration
            default: .software
            }
        self.init(status, error.message)
    }
}
