#if canImport(Darwin)
    import Darwin
#elseif canImport(Glibc)
    import Glibc
#endif

/// The few things that the demonstration does with files.
enum Files {
    /// A new folder of our own under TMPDIR.
    static func makeTemporaryFolder() throws(Failure) -> String {
        let base = Console.environment("TMPDIR") ?? "/tmp"
        var template = Array("\(base)/redislock-demo.XXXXXX".utf8CString)
        guard mkdtemp(&template) != nil else {
            throw Failure(.software, "no folder can be made in \(base): \(String(cString: strerror(errno)))")
        }
        return String(decoding: template.dropLast().map { UInt8(bitPattern: $0) }, as: UTF8.self)
    }

    static func makeFolder(_ path: String) throws(Failure) {
        guard mkdir(path, 0o700) == 0 else {
            throw Failure(.software, "no folder can be made at \(path): \(String(cString: strerror(errno)))")
        }
    }

    /// Removes files and then the folder that they are in, as far as they are there.
    static func remove(folder: String, with files: [String]) {
        for file in files { unlink(file) }
        rmdir(folder)
    }

    static func rename(_ old: String, to new: String) {
        Libc.rename(old, new)
    }

    /// Whether the program is somewhere in PATH.
    static func isProgram(_ name: String) -> Bool {
        (Console.environment("PATH") ?? "").split(separator: ":").contains { access("\($0)/\(name)", X_OK) == 0 }
    }

    static func write(_ text: String, to path: String, flags: Int32) {
        let descriptor = Libc.open(path, O_WRONLY | O_CLOEXEC | flags, 0o600)
        guard descriptor >= 0 else { return }
        defer { close(descriptor) }
        let bytes = Array(text.utf8)
        // A short write of a few bytes to a local file means a full disk: the summary then tells of a lost update.
        _ = bytes.withUnsafeBytes { Libc.write(descriptor, $0.baseAddress, $0.count) }
    }

    static func read(_ path: String) -> String {
        let descriptor = Libc.open(path, O_RDONLY | O_CLOEXEC, 0)
        guard descriptor >= 0 else { return "" }
        defer { close(descriptor) }
        var text: [UInt8] = []
        var buffer = [UInt8](repeating: 0, count: 65_536)
        while true {
            let count = Libc.read(descriptor, &buffer, buffer.count)
            guard count > 0 else { return String(decoding: text, as: UTF8.self) }
            text += buffer[..<count]
        }
    }

    /// The C functions that methods of the same names hide.
    private enum Libc {
        #if canImport(Darwin)
            static func open(_ path: String, _ flags: Int32, _ mode: mode_t) -> Int32 { Darwin.open(path, flags, mode) }
            static func rename(_ old: String, _ new: String) { _ = Darwin.rename(old, new) }
            static let write = Darwin.write
            static let read = Darwin.read
        #else
            static func open(_ path: String, _ flags: Int32, _ mode: mode_t) -> Int32 { Glibc.open(path, flags, mode) }
            static func rename(_ old: String, _ new: String) { _ = Glibc.rename(old, new) }
            static let write = Glibc.write
            static let read = Glibc.read
        #endif
    }
}
