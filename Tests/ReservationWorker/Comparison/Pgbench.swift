import Foundation
import TestSupport

/// PostgreSQL's own load generator on the same server as the library: over TCP, in the same schema, with the same settings and
/// the same number of connections.
struct Pgbench: Sendable {
    let programs: String
    let port: UInt16
    let schema: String
    let connections: Int

    enum Rule: String {
        case atomic, pessimistic
    }

    /// What it sends for each hold.
    enum Script: Hashable {
        /// The very call of the schema's function that the library makes.
        case call(Rule)
        /// The statements of which the function consists, without it: one after the other in a transaction.
        case statements(Rule)

        var text: String {
            let variables = "\\set r random(1, 9000000000000000000)\n\\set item random(1, :items)\n"
            switch self {
            case .call(let rule): return variables + Self.call(rule)
            case .statements(let rule): return variables + Self.statements(rule)
            }
        }

        private static func call(_ rule: Rule) -> String {
            let locks = rule == .pessimistic ? "true, '2000ms'" : "false, NULL"
            return """
                SELECT outcome, answer, created, expires, deadline FROM claim(md5(:r::text)::uuid, 'buyer ' || :r,
                    '{counted}', ARRAY['bench ' || :item], '{""}', '{""}', '{1}', 300000000, 7200000000, NULL,
                    \(locks), NULL, NULL, 'buyer ' || :r, 'reserve', 'reserve', '0123456789abcdef0123456789abcdef');

                """
        }

        private static func statements(_ rule: Rule) -> String {
            let lock = """
                SET LOCAL lock_timeout = '2s';
                SELECT id, capacity - held - sold FROM bucket WHERE item = 'bench ' || :item ORDER BY id FOR NO KEY UPDATE;

                """
            return """
                BEGIN;
                \(rule == .pessimistic ? lock : "")INSERT INTO request (caller, key, operation, fingerprint, state, reservation_id)
                    VALUES ('buyer ' || :r, 'reserve', 'reserve', '0123456789abcdef0123456789abcdef', 'done', md5(:r::text)::uuid);
                INSERT INTO reservation (id, holder, state, expires_at, hard_deadline)
                    VALUES (md5(:r::text)::uuid, 'buyer ' || :r, 'held', now() + interval '5 min', now() + interval '2 h');
                INSERT INTO reservation_line (reservation_id, bucket_id, quantity, exclusive)
                    SELECT md5(:r::text)::uuid, id, 1, false FROM bucket WHERE item = 'bench ' || :item;
                INSERT INTO ledger (bucket_id, reservation_id, phase, kind, held_delta, actor)
                    SELECT id, md5(:r::text)::uuid, 1, 'hold', 1, 'buyer ' || :r FROM bucket WHERE item = 'bench ' || :item;
                UPDATE bucket SET held = held + 1, version = version + 1
                    WHERE item = 'bench ' || :item AND held + sold + 1 <= capacity RETURNING capacity - held - sold;
                COMMIT;

                """
        }
    }

    private static func settings(_ schema: String) -> String {
        "-c search_path=\(schema) -c enable_seqscan=off -c jit=off -c client_connection_check_interval=1s"
    }

    /// Transactions per second.
    ///
    /// - Parameter count: how many each client makes. Not for how long: pgbench's clock is SIGALRM, which this process's
    ///   threads block, and its children with them.
    func run(_ script: Script, items: Int, count: Int) async throws -> Double {
        try await withTemporaryDirectory { folder in
            let file = "\(folder)/script.sql"
            try script.text.write(toFile: file, atomically: true, encoding: .utf8)
            let output = try await Program.run(
                "\(programs)/pgbench",
                [
                    "-n", "-M", "prepared", "-c", "\(connections)", "-j", "2", "-t", "\(count)", "-D", "items=\(items)",
                    "-f", file,
                    "host=127.0.0.1 port=\(port) user=postgres dbname=postgres options='\(Self.settings(schema))'",
                ])
            let line = output.split(separator: "\n").first { $0.hasPrefix("tps = ") }
            guard let line, let number = Double(line.dropFirst(6).prefix { $0 != " " }) else {
                throw UsageError(description: "pgbench says: \(output)")
            }
            return number
        }
    }
}

/// Another program, run to its end on a thread of its own.
enum Program {
    static func run(_ path: String, _ arguments: [String]) async throws -> String {
        try await withCheckedThrowingContinuation { continuation in
            Thread.detachNewThread {
                continuation.resume(
                    with: Result {
                        let process = Process()
                        let output = Pipe()
                        process.executableURL = URL(fileURLWithPath: path)
                        process.arguments = arguments
                        process.standardInput = FileHandle.nullDevice
                        process.standardOutput = output
                        process.standardError = output
                        try process.run()
                        // Foundation keeps it open when it is used twice, and then there is no end of file.
                        try output.fileHandleForWriting.close()
                        let data = output.fileHandleForReading.readDataToEndOfFile()
                        process.waitUntilExit()
                        return String(decoding: data, as: UTF8.self)
                    })
            }
        }
    }
}
