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

    /// - Parameter folder: an empty one.
    init(in folder: String) {
        self.folder = folder
        Files.write("0\n", to: numberFile, flags: O_CREAT | O_TRUNC)
        Files.write("", to: tokensFile, flags: O_CREAT | O_TRUNC)
    }

    /// Removes it, and its folder.
    func remove() {
        Files.remove(folder: folder, with: [numberFile, tokensFile])
    }

    /// Shows the token and reads the number. To be called by the holder of the lock.
    func open(token: Int64) -> Int {
        Files.write("\(token)\n", to: tokensFile, flags: O_APPEND)
        return number
    }

    /// Whether the number was taken: not from a holder whose token is not the last one shown.
    func write(_ number: Int, token: Int64) -> Bool {
        guard tokens.last == token else { return false }
        let draft = numberFile + ".\(token)"
        Files.write("\(number)\n", to: draft, flags: O_CREAT | O_TRUNC)
        Files.rename(draft, to: numberFile)
        return true
    }

    var number: Int { Int(Files.read(numberFile).split(separator: "\n").first ?? "") ?? 0 }

    var tokens: [Int64] { Files.read(tokensFile).split(separator: "\n").compactMap { Int64($0) } }

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
}
