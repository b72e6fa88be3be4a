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
    for name in (try? entries(of: path)) ?? [] { removeRecursively("\(path)/\(name)") }
    rmdir(path)
}

/// The names in a folder.
package func entries(of path: String) throws -> [String] {
    guard let folder = opendir(path) else { throw TestSupportError.system("opendir \(path)") }
    defer { closedir(folder) }
    var names: [String] = []
    while let entry = readdir(folder) {
        let name = withUnsafePointer(to: &entry.pointee.d_name) { tuple in
            tuple.withMemoryRebound(to: CChar.self, capacity: MemoryLayout.size(ofValue: tuple.pointee)) {
                String(cString: $0)
            }
        }
        if name != "." && name != ".." { names.append(name) }
    }
    return names
}

/// Copies the files of a folder, which has no folders of its own, over those of another.
package func copyFolder(_ source: String, to target: String) throws {
    mkdir(target, 0o700)
    for name in try entries(of: source) {
        try POSIX.writeFile(try POSIX.readBytes("\(source)/\(name)"), to: "\(target)/\(name)")
    }
}
