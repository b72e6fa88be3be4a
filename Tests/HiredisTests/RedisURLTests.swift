import Testing

@testable import Hiredis

@Suite("Redis URLs")
struct RedisURLTests {
    @Test(
        "every part is found",
        arguments: [
            ("redis://localhost", RedisURL(endpoint: .tcp(host: "localhost", port: 6379))),
            ("REDIS://h:1", RedisURL(endpoint: .tcp(host: "h", port: 1))),
            ("redis://h:65535/15", RedisURL(endpoint: .tcp(host: "h", port: 65_535), database: 15)),
            ("redis://h/", RedisURL(endpoint: .tcp(host: "h", port: 6379))),
            ("redis://:p@h", RedisURL(endpoint: .tcp(host: "h", port: 6379), password: "p")),
            ("redis://u:p@h", RedisURL(endpoint: .tcp(host: "h", port: 6379), user: "u", password: "p")),
            (
                "redis://u%3A%40:p%2F%25%40%3A@h:7/2",
                RedisURL(endpoint: .tcp(host: "h", port: 7), user: "u:@", password: "p/%@:", database: 2)
            ),
            ("redis://u:p:q@r@h", RedisURL(endpoint: .tcp(host: "h", port: 6379), user: "u", password: "p:q@r")),
            ("redis://[::1]:7", RedisURL(endpoint: .tcp(host: "::1", port: 7))),
            ("redis://[fe80::1%25eth0]/1", RedisURL(endpoint: .tcp(host: "fe80::1%eth0", port: 6379), database: 1)),
            ("unix:///run/redis.sock", RedisURL(endpoint: .unix(path: "/run/redis.sock"))),
            ("unix:///a%20b?db=3", RedisURL(endpoint: .unix(path: "/a b"), database: 3)),
            ("unix://u:p@/s", RedisURL(endpoint: .unix(path: "/s"), user: "u", password: "p")),
        ])
    func parts(_ text: String, _ url: RedisURL) throws {
        #expect(try RedisURL(text) == url)
    }

    @Test(
        "a bad part is named, and no secret with it",
        arguments: [
            ("localhost:6379", "scheme"), ("http://h", "scheme"), ("redis://", "host"), ("redis://:geheim@", "host"),
            ("redis://u:geheim@h:x", "port"), ("redis://u:geheim@h:0", "port"), ("redis://h:65536", "port"),
            ("redis://h:", "port"), ("redis://h:+1", "port"), ("redis://h/x", "database"), ("redis://h/-1", "database"),
            ("redis://h/1/2", "database"), ("redis://u:ge%zzheim@h", "password"), ("redis://u:geheim%2@h", "password"),
            ("redis://u%ff:geheim@h", "user"), ("redis://geheim@h", "password"), ("redis://[::1", "bracket"),
            ("redis://[h]:1", "brackets"), ("redis://[::1]x", "between"), ("redis://h?db=1", "query"),
            ("redis://a b", "host"), ("unix://relative", "path"), ("unix://", "path"), ("unix:///s?x=1", "query"),
            ("unix:///s?db=x", "database"), ("unix:///a%00b", "path"),
            ("unix:///" + String(repeating: "x", count: 200), "path"), ("", "scheme"),
        ])
    func badParts(_ text: String, _ part: String) {
        let error = #expect(throws: RedisError.self) { try RedisURL(text) }
        #expect(error?.code == .invalidURL)
        #expect(error?.isPermanent == true)
        #expect(error?.message.contains(part) == true, "\(error?.message ?? "")")
        #expect(error?.message.contains("geheim") == false)
    }

    @Test("rediss:// is refused with a sentence that says what to do")
    func tls() {
        let error = #expect(throws: RedisError.self) { try RedisURL("rediss://u:geheim@h:6380") }
        #expect(error?.code == .unsupportedTLS)
        #expect(error?.message.contains("TLS") == true)
        #expect(error?.message.contains("geheim") == false)
    }

    @Test("a URL shows neither user nor password, however it is printed")
    func redaction() throws {
        for text in ["redis://nutzer:geheim@h:1/2", "unix://nutzer:geheim@/s?db=2"] {
            let url = try RedisURL(text)
            var dumped = ""
            dump(url, to: &dumped)
            for shown in ["\(url)", String(reflecting: url), dumped, url.location] {
                #expect(!shown.contains("geheim") && !shown.contains("nutzer"), "\(shown)")
            }
            #expect("\(url)".contains("2"))
        }
    }

    @Test(
        "a password may leave the machine only when somebody said so",
        arguments: [
            ("redis://:p@localhost", true), ("redis://:p@127.8.9.1", true), ("redis://:p@[::1]", true),
            ("unix://:p@/s", true), ("redis://h", true), ("redis://:p@h", false), ("redis://:p@10.0.0.1", false),
            ("redis://:p@127.evil.example.com", false), ("redis://:p@localhost.example.com", false),
        ])
    func plaintextPasswords(_ text: String, _ isAllowed: Bool) throws {
        let url = try RedisURL(text)
        let refusal = Result { try url.checkCredentials(unsafeAllowPlaintextPasswords: false) }
        let isRefused = (try? refusal.get()) == nil
        #expect(isRefused != isAllowed)
        #expect(throws: Never.self) { try url.checkCredentials(unsafeAllowPlaintextPasswords: true) }
    }
}
