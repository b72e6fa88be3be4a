/// What the process answers to whoever started it. The numbers are sysexits(3) where that has one, and a shell's elsewhere.
package struct ExitStatus: Hashable, Sendable {
    package let code: Int32

    package init(code: Int32) { self.code = code }

    package static let success = ExitStatus(code: 0)
    /// EX_USAGE: bad arguments, a bad URL among them.
    package static let usage = ExitStatus(code: 64)
    /// EX_UNAVAILABLE: too few nodes answered.
    package static let unreachable = ExitStatus(code: 69)
    /// EX_SOFTWARE: a mistake of ours.
    package static let software = ExitStatus(code: 70)
    /// EX_IOERR: the lease was lost while the command ran.
    package static let leaseLost = ExitStatus(code: 74)
    /// EX_TEMPFAIL: somebody else held the lock for the whole wait.
    package static let notObtained = ExitStatus(code: 75)
    /// EX_CONFIG: the server, or its answer to our credentials, cannot work.
    package static let configuration = ExitStatus(code: 78)
    package static let notExecutable = ExitStatus(code: 126)
    package static let notFound = ExitStatus(code: 127)

    /// What a shell reports for a process that `signal` ended.
    package static func signalled(_ signal: Int32) -> ExitStatus { ExitStatus(code: 128 + signal) }
}
