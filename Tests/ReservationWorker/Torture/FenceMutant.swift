import ReservationsPostgreSQL
import TestSupport

/// A schema whose rows do not look at the token, although they are told it and write it down: what a store would be without
/// its fence. The torture must find that.
enum FenceMutant {
    static func apply(to store: PostgreSQLReservationStore) async throws {
        let rows = try await store.client.query(
            """
            SELECT pg_get_functiondef(p.oid) FROM pg_proc p
            WHERE p.pronamespace = current_schema()::regnamespace AND p.prosrc LIKE '%fence%p_token%'
            """)
        var changed = 0
        for row in 0..<rows.count {
            let definition = rows[row, 0] ?? ""
            // Nor does the trigger see a fence fall.
            let blind = definition.replacing("b.fence <= p_token", with: "true")
                .replacing("b.fence > p_token", with: "false")
                .replacing("fence = p_token", with: "fence = greatest(b.fence, p_token)")
            guard blind != definition else { continue }
            _ = try await store.client.run([Statement(blind, isPrepared: false)], mayCommit: true)
            changed += 1
        }
        guard changed > 0 else { throw TestSupportError("There is no fence to take away.") }
    }

    /// Nor does a line look at whose batch it is, and from where it was read.
    static func applyToLine(of store: PostgreSQLReservationStore) async throws {
        let rows = try await store.client.query(
            """
            SELECT pg_get_functiondef(p.oid) FROM pg_proc p
            WHERE p.pronamespace = current_schema()::regnamespace AND p.proname = 'decide'
            """)
        let definition = rows[0, 0] ?? ""
        let blind = definition.replacing("AND q.token = p_token AND q.position = p_from", with: "")
        guard blind != definition else { throw TestSupportError("A line has no fence to take away.") }
        _ = try await store.client.run([Statement(blind, isPrepared: false)], mayCommit: true)
    }
}
