#if canImport(Darwin)
    import Darwin
#elseif canImport(Glibc)
    import Glibc
#endif

/// Makes an empty folder that only this user can read. Its name is short, because socket paths may have 100 bytes.
package func makeTemporaryDirectory(_ prefix: String = "redis-locks") throws -> String {
    let base = getenv("TMPDIR").map { String(cString: $0) } ?? "/tmp"
    var template = Array("\(base)/\(prefix).XXXXXX".utf8CString)
    guard mkdtemp(&template) != nil else { throw TestSupportError.system("mkdtemp in \(base)") }
    return String(decoding: template.dropLast().map { UInt8(bitPattern: $0) }, as: UTF8.self)
}

/// Runs `body` with the path of a fresh folder, which is removed with all it holds afterwards.
package func withTemporaryDirectory<Result>(
    isolation: isolated (any Actor)? = #isolation,
    _ body: (_ path: String) async throws -> Result
) async throws -> Result {
    let path = try makeTemporaryDirectory()
    defer { removeRecursively(path) }
    return try await body(path)
}

/// Removes a file or a folder; symbolic links are removed, not followed.
package func removeRecursively(_ path: String) {
    var status = stat()
    guard lstat(path, &status) == 0 else { return }
    guard status.st_mode & S_IFMT == S_IFDIR else {
        unlink(path)
        return
    }
    if let folder = opendir(path) {
        defer { closedir(folder) }
        while let entry = readdir(folder) {
            let name = withUnsafePointer(to: &entry.pointee.d_name) { tuple in
                tuple.withMemoryRebound(to: CChar.self, capacity: MemoryLayout.size(ofValue: tuple.pointee)) {
                    String(cString: $0)
                }
            }
            if name != "." && name != ".." { removeRecursively("\(path)/\(name)") }
        }
    }
    rmdir(path)
}

/// Copies the files of a folder, which has no folders of its own, over those of another.
package func copyFolder(_ source: String, to target: String) throws {
    mkdir(target, 0o700)
    guard let folder = opendir(source) else { throw TestSupportError.system("opendir \(source)") }
    defer { closedir(folder) }
    while let entry = readdir(folder) {
        let name = withUnsafePointer(to: &entry.pointee.d_name) { tuple in
            tuple.withMemoryRebound(to: CChar.self, capacity: MemoryLayout.size(ofValue: tuple.pointee)) {
                String(cString: $0)
            }
        }
        guard name != "." && name != ".." else { continue }
        try POSIX.writeFile(try POSIX.readBytes("\(source)/\(name)"), to: "\(target)/\(name)")
    }
}
