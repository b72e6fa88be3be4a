/// Where the lock lives, from the command line or the environment.
package enum NodeList {
    package static let variable = "REDISLOCK_NODES"

    /// The URLs to use: those of the command line if there are any, else the comma-separated ones of the environment.
    package static func resolve(options: [String], environment: String?) throws(Failure) -> String {
        let fromEnvironment = (environment ?? "").split(separator: ",").map { String($0.trimmed) }.filter {
            !$0.isEmpty
        }
        let urls = options.isEmpty ? fromEnvironment : options
        guard let url = urls.first else {
            throw Failure(.usage, "no Redis node given: use --node redis://HOST:PORT or set \(variable)")
        }
        // The one place that knows of this limit.
        guard urls.count == 1 else {
            throw Failure(
                .usage,
                "\(urls.count) nodes were given, but this release locks on exactly one; "
                    + "a quorum of several nodes comes with the next release"
            )
        }
        return url
    }
}

extension Substring {
    var trimmed: Substring {
        var text = self.drop(while: \.isWhitespace)
        while text.last?.isWhitespace == true { text.removeLast() }
        return text
    }
}
