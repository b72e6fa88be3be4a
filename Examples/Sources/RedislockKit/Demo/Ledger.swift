#if canImport(Darwin)
    import Darwin
#elseif canImport(Glibc)
    import Glibc
#endif

/// The thing that the lock protects in the demonstration: a number in a file, which tasks and processes alike read, think
/// about and write back. Without a lock, updates would be lost all the time.
///
/// Beside it lies the list of fencing tokens that it has seen, in order. It takes a write only from the last of them.
/// (A store of your own does both in one statement: `UPDATE ... WHERE fence <= :token`.)
struct Ledger: Sendable {
    let folder: String

    private var numberFile: String { folder + "/number" }
    private var tokensFile: String { folder + "/tokens" }

    init() throws(Failure) {
        let base = Console.environment("TMPDIR") ?? "/tmp"
        var template = Array("\(base)/redislock-demo.XXXXXX".utf8CString)
        guard mkdtemp(&template) != nil else {
            throw Failure(.software, "no folder can be made in \(base): \(String(cString: strerror(errno)))")
        }
        folder = String(decoding: template.dropLast().map { UInt8(bitPattern: $0) }, as: UTF8.self)
        write("0\n", to: numberFile, flags: O_CREAT | O_TRUNC)
        write("", to: tokensFile, flags: O_CREAT | O_TRUNC)
    }

    func remove() {
        for file in [numberFile, tokensFile] { unlink(file) }
        rmdir(folder)
    }

    /// Shows the token and reads the number. To be called by the holder of the lock.
    func open(token: Int64) -> Int {
        write("\(token)\n", to: tokensFile, flags: O_APPEND)
        return number
    }

    /// Whether the number was taken: not from a holder whose token is not the last one shown.
    func write(_ number: Int, token: Int64) -> Bool {
        guard tokens.last == token else { return false }
        let draft = numberFile + ".\(token)"
        write("\(number)\n", to: draft, flags: O_CREAT | O_TRUNC)
        rename(draft, numberFile)
        return true
    }

    var number: Int { Int(read(numberFile).split(separator: "\n").first ?? "") ?? 0 }

    var tokens: [Int64] { read(tokensFile).split(separator: "\n").compactMap { Int64($0) } }

    /// What a separate process does under the lock: the same as `open`, `hold` seconds of thought and `write`, in sh.
    ///
    /// - Parameter ignoresTermination: whether it goes on although it is told that the lease is lost.
    func script(hold: Duration, ignoresTermination: Bool) -> String {
        """
        \(ignoresTermination ? "trap '' TERM" : ":")
        cd '\(folder)' || exit 1
        token=$REDISLOCK_FENCING_TOKEN
        echo "$token" >> tokens
        echo "holds $token"
        number=$(cat number)
        sleep \(Double(hold.wholeMilliseconds) / 1000)
        last=$(tail -n 1 tokens)
        if [ "$last" != "$token" ]; then echo "refused $last"; exit 3; fi
        echo $((number + 1)) > "number.$token" && mv "number.$token" number
        echo "wrote $((number + 1))"
        """
    }

    private func write(_ text: String, to path: String, flags: Int32) {
        let descriptor = Self.open(path, O_WRONLY | O_CLOEXEC | flags)
        guard descriptor >= 0 else { return }
        defer { close(descriptor) }
        let bytes = Array(text.utf8)
        // A short write of a few bytes to a local file means a full disk: the summary then tells of a lost update.
        _ = bytes.withUnsafeBytes { Self.write(descriptor, $0.baseAddress, $0.count) }
    }

    private func read(_ path: String) -> String {
        let descriptor = Self.open(path, O_RDONLY | O_CLOEXEC)
        guard descriptor >= 0 else { return "" }
        defer { close(descriptor) }
        var text: [UInt8] = []
        var buffer = [UInt8](repeating: 0, count: 65_536)
        while true {
            let count = Self.read(descriptor, &buffer, buffer.count)
            guard count > 0 else { return String(decoding: text, as: UTF8.self) }
            text += buffer[..<count]
        }
    }

    // The type's own methods hide the C functions of the same names.
    #if canImport(Darwin)
        private static func open(_ path: String, _ flags: Int32) -> Int32 { Darwin.open(path, flags, 0o600) }
        private static let write = Darwin.write
        private static let read = Darwin.read
    #else
        private static func open(_ path: String, _ flags: Int32) -> Int32 { Glibc.open(path, flags, 0o600) }
        private static let write = Glibc.write
        private static let read = Glibc.read
    #endif
}
