import Foundation
import TestSupport

/// PostgreSQL's own load generator, which sends the plain SQL of a strategy: the rows that the library writes, one statement
/// after the other in a transaction, on as many connections as there are buyers.
struct Pgbench: Sendable {
    let programs: String
    let url: String
    let schema: String

    enum Script: String {
        case atomic, pessimistic

        var text: String {
            let lock = """
                SET LOCAL lock_timeout = '2s';
                SELECT id, capacity - held - sold FROM bucket WHERE item = 'bench ' || :item ORDER BY id FOR NO KEY UPDATE;

                """
            return """
                \\set r random(1, 9000000000000000000)
                \\set item random(1, :items)
                BEGIN;
                \(self == .pessimistic ? lock : "")INSERT INTO request (caller, key, operation, fingerprint, state, reservation_id)
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

    /// Transactions per second.
    ///
    /// - Parameter count: how many each client makes. Not for how long: pgbench's clock is SIGALRM, which this process's
    ///   threads block, and its children with them.
    func run(_ script: Script, items: Int, clients: Int, count: Int) async throws -> Double {
        try await withTemporaryDirectory { folder in
            let file = "\(folder)/\(script.rawValue).sql"
            try script.text.write(toFile: file, atomically: true, encoding: .utf8)
            let output = try await Program.run(
                "\(programs)/pgbench",
                [
                    "-n", "-M", "prepared", "-c", "\(clients)", "-j", "2", "-t", "\(count)", "-D", "items=\(items)",
                    "-f", file,
                    "\(url) options='-c search_path=\(schema)'",
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
