import Crypto
import Foundation
import Hummingbird

/// Who asks: whoever shows a secret that nobody can guess.
///
/// The secret is random, 256 bits, and made by the service (a cookie with the page, or `POST /v1/sessions`). Nothing about it
/// is stored: the holder of reservations is its digest, so neither the database nor its ledger lets anybody act as somebody
/// else, and every process and every restart knows everybody. An identity costs nothing here; a shop would ask for a login.
package struct Caller: Sendable, Hashable {
    /// The name under which reservations are held: a digest of the secret.
    package let holder: String

    package static let cookie = "buyer"
    private static let prefix = "byr_"
    private static let secretBytes = 32

    /// `nil` for anything that this service has not made.
    package init?(secret: some StringProtocol) {
        guard secret.hasPrefix(Self.prefix), let bytes = Self.bytes(secret.dropFirst(Self.prefix.count)),
            bytes.count == Self.secretBytes
        else { return nil }
        let digest = SHA256.hash(data: Data(secret.utf8))
        holder = "b-" + digest.prefix(16).map { String($0 >> 4, radix: 16) + String($0 & 15, radix: 16) }.joined()
    }

    /// A new secret.
    package static func makeSecret() -> String {
        let bytes = SymmetricKey(size: .bits256).withUnsafeBytes { Data($0) }
        let text = bytes.base64EncodedString().map { $0 == "+" ? "-" : $0 == "/" ? "_" : $0 }
        return prefix + String(text).trimmingCharacters(in: CharacterSet(charactersIn: "="))
    }

    /// The caller of a request: its bearer token, else its cookie.
    package init?(_ headers: HTTPFields) {
        if let token = Bearer.token(of: headers) {
            self.init(secret: token)
        } else if let secret = Self.cookieValue(headers) {
            self.init(secret: secret)
        } else {
            return nil
        }
    }

    private static func cookieValue(_ headers: HTTPFields) -> Substring? {
        for field in headers[values: .cookie] {
            for pair in field.split(separator: ";") {
                let pair = pair.drop(while: \.isWhitespace)
                if pair.hasPrefix("\(cookie)=") { return pair.dropFirst(cookie.count + 1) }
            }
        }
        return nil
    }

    private static func bytes(_ text: some StringProtocol) -> Data? {
        let plain = String(text.map { $0 == "-" ? "+" : $0 == "_" ? "/" : $0 })
        return Data(base64Encoded: plain + String(repeating: "=", count: (4 - plain.count % 4) % 4))
    }

    /// The field that makes a browser keep the secret: no script sees it, and no other site sends it.
    package static func setCookie(_ secret: String, isBehindTLS: Bool) -> String {
        "\(cookie)=\(secret); Path=/; Max-Age=2592000; HttpOnly; SameSite=Strict" + (isBehindTLS ? "; Secure" : "")
    }
}

/// `Authorization: Bearer ...`
package enum Bearer {
    package static func token(of headers: HTTPFields) -> Substring? {
        guard let field = headers[.authorization], field.lowercased().hasPrefix("bearer ") else { return nil }
        return field.dropFirst("bearer ".count).drop(while: \.isWhitespace)
    }

    /// Whether these are the same, in a time that does not tell where they differ.
    package static func matches(_ token: some StringProtocol, _ expected: String) -> Bool {
        let (left, right) = (SHA256.hash(data: Data(token.utf8)), SHA256.hash(data: Data(expected.utf8)))
        return zip(left, right).reduce(0) { $0 | ($1.0 ^ $1.1) } == 0
    }
}
