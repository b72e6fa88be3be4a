/// Where the lock lives, from the command line or the environment.
package enum NodeList {
    package static let variable = "REDISLOCK_NODES"

    /// The URLs to use: those of the command line if there are any, else the comma-separated ones of the environment.
    package static func resolve(options: [String], environment: String?) throws(Failure) -> [String] {
        let urls = options.isEmpty ? list(environment) : options
        guard !urls.isEmpty else {
            throw Failure(.usage, "no Redis node given: use --node redis://HOST:PORT or set \(variable)")
        }
        return urls
    }

    /// What the environment's variable names.
    package static func list(_ environment: String?) -> [String] {
        (environment ?? "").split(separator: ",").map { String($0.trimmed) }.filter { !$0.isEmpty }
    }
}

extension Substring {
    var trimmed: Substring {
        var text = self.drop(while: \.isWhitespace)
        while text.last?.isWhitespace == true { text.removeLast() }
        return text
    }
}
