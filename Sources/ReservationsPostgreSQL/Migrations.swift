/// The versions of the schema, and how it gets to the latest.
enum Migrations {
    /// A new version is added at the end; what was released is never changed. The first is called ``first``.
    private static let versions: [[[UInt8]]] = [
        [
            PackageResources.tables_sql, PackageResources.answers_sql, PackageResources.claim_sql,
            PackageResources.resolve_sql, PackageResources.audit_sql, PackageResources.queue_sql,
            PackageResources.decide_sql,
        ]
    ]

    /// Those before it were drafts that no release had: they are not brought up to date.
    static let first = 2

    static var latest: Int { first + versions.count - 1 }

    /// How long one may wait for another that migrates, and how long a version may take.
    static let patience: Duration = .seconds(300)

    /// Under one lock for each schema, until the commit: whoever comes meanwhile waits, and finds nothing to do.
    static func run(in transaction: Transaction, schema: String) async throws(DatabaseError) {
        let name = ClientConfiguration.quoted(schema)
        // Others may take as long as it takes; the server's limit for the whole statement is the end of patience.
        _ = try await transaction.run([
            Statement("SELECT set_config('lock_timeout', '0', true)"),
            Statement("SELECT set_config('statement_timeout', $1, true)", [ClientConfiguration.milliseconds(patience)]),
            Statement("SELECT pg_advisory_xact_lock(hashtextextended($1, 5090))", [schema]),
        ])
        // Not `IF NOT EXISTS`, which asks for the right to create although nothing is to be created.
        if try await !exists("SELECT FROM pg_namespace WHERE nspname = $1", schema, transaction) {
            _ = try await transaction.run([Statement("CREATE SCHEMA \(name)", isPrepared: false)])
        }
        if try await !exists(
            "SELECT FROM pg_tables WHERE schemaname = $1 AND tablename = 'schema_version'", schema, transaction)
        {
            _ = try await transaction.run([
                Statement(
                    "CREATE TABLE \(name).schema_version (version int PRIMARY KEY, at timestamptz NOT NULL DEFAULT now())",
                    isPrepared: false)
            ])
        }
        try await bringUpToDate(transaction, name)
    }

    private static func bringUpToDate(_ transaction: Transaction, _ schema: String) async throws(DatabaseError) {
        let sql = "SELECT coalesce(max(version), 0) FROM \(schema).schema_version"
        let rows = try await transaction.run([Statement(sql, isPrepared: false)])
        let version = rows.first?[0, 0].flatMap { Int($0) } ?? 0
        guard version <= latest else {
            throw DatabaseError(
                .refused,
                "The schema has version \(version), and this program knows \(latest): install a newer version of it.")
        }
        guard version == 0 || version >= first else {
            throw DatabaseError(
                .refused,
                "The schema has version \(version), a draft that was never released and accepts what it must not: save what "
                    + "you need of it, drop it with DROP SCHEMA \(schema) CASCADE, and migrate again.")
        }
        for next in max(version + 1, first)..<latest + 1 {
            var statements = versions[next - first].flatMap(statements)
            statements.append(
                Statement("INSERT INTO \(schema).schema_version (version) VALUES (\(next))", isPrepared: false))
            _ = try await transaction.run(statements)
        }
    }

    private static func exists(_ sql: String, _ name: String, _ transaction: Transaction) async throws(DatabaseError)
        -> Bool
    {
        let rows = try await transaction.run([Statement("SELECT EXISTS (\(sql))", [name], isPrepared: false)])
        return rows.first?[0, 0] == "t"
    }

    /// A statement ends with a semicolon before an empty line, or with the file. Names are found by the `search_path`.
    private static func statements(of script: [UInt8]) -> [Statement] {
        var statements: [Statement] = []
        var lines: [Substring] = []
        let text = String(decoding: script, as: UTF8.self) + "\n"
        for line in text.split(separator: "\n", omittingEmptySubsequences: false) {
            if line.isEmpty, lines.last?.hasSuffix(";") == true {
                statements.append(Statement(lines.joined(separator: "\n"), isPrepared: false))
                lines = []
            } else if !line.isEmpty {
                lines.append(line)
            }
        }
        return statements
    }
}
