import GRDB
import Reservations

extension StoreError {
    /// What the failure of a transaction means.
    ///
    /// - Parameters:
    ///   - error: whatever a transaction threw.
    ///   - isCommitting: whether the commit had begun.
    init(_ error: any Error, isCommitting: Bool = false) {
        if let error = error as? StoreError {
            self = error
        } else if error is CancellationError {
            self.init(.cancelled, "The task was cancelled; nothing was changed.")
        } else if let error = error as? DatabaseError {
            self.init(error, isCommitting: isCommitting)
        } else {
            self.init(.failed, "The database answered something unexpected: \(type(of: error)).")
        }
    }

    private init(_ error: DatabaseError, isCommitting: Bool) {
        // A file that could not be written to the end of a commit may have it all the same, when the process dies before the
        // next one.
        let effect: Effect = isCommitting ? .unknown : .none
        let reason = "\(error.message ?? "no message") (\(error.extendedResultCode.rawValue))"
        switch error.resultCode {
        case .SQLITE_BUSY, .SQLITE_LOCKED:
            // A commit that finds the file busy has not begun.
            self.init(.busy, "Another connection was writing to the database for too long: \(reason).")
        case .SQLITE_INTERRUPT:
            self.init(.cancelled, "The task was cancelled; nothing was changed.")
        case .SQLITE_CONSTRAINT:
            self.init(.refusedByConstraint, "A constraint of the database refused the change: \(reason).")
        case .SQLITE_FULL:
            self.init(.unavailable, "The disk, or the database, is full: make room. \(reason)", effect: effect)
        case .SQLITE_IOERR, .SQLITE_NOMEM, .SQLITE_PROTOCOL:
            self.init(.unavailable, "The database file cannot be read or written: \(reason).", effect: effect)
        default:
            self =
                Self.misconfigured(error, reason)
                ?? StoreError(.failed, "The database failed: \(reason).", effect: effect)
        }
    }

    private static func misconfigured(_ error: DatabaseError, _ reason: String) -> StoreError? {
        let advice: String
        switch error.resultCode {
        case .SQLITE_READONLY:
            advice =
                "The database cannot be written to: give this process the right to write to the file and its folder."
        case .SQLITE_CANTOPEN:
            advice =
                "The database cannot be opened: its folder must exist, and this process must be allowed to write to it, "
                + "for SQLite keeps two more files there."
        case .SQLITE_PERM, .SQLITE_AUTH:
            advice = "The database may not be used: give this process the right to read and write the file."
        case .SQLITE_NOTADB: advice = "The file is no SQLite database, or an encrypted one: name another file."
        case .SQLITE_CORRUPT: advice = "The database is damaged: restore it from a backup."
        case .SQLITE_ERROR where error.message?.hasPrefix("no such table") == true:
            advice = "The database has no schema yet: call `migrate()` first."
        case .SQLITE_ERROR where error.message?.hasSuffix("already exists") == true:
            advice = "The database has a table of the same name that is not this library's: use a file of its own."
        case .SQLITE_ERROR where error.message?.hasPrefix("no such column") == true:
            advice = "The database has a schema of another version: call `migrate()`, or update the library."
        default: return nil
        }
        return StoreError(.misconfigured, "\(advice) (\(reason))")
    }
}
