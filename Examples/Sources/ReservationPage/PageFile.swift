/// A file of the page, as it was when this was built.
package struct PageFile: Sendable {
    package let name: String
    package let type: String
    package let bytes: [UInt8]
    /// An entity tag: of these bytes, quoted.
    package let tag: String

    private init(_ name: String, _ type: String, _ bytes: [UInt8]) {
        self.name = name
        self.type = type
        self.bytes = bytes
        // FNV-1a: it tells versions apart, nothing more.
        let digest = bytes.reduce(UInt64(0xcbf2_9ce4_8422_2325)) { ($0 ^ UInt64($1)) &* 0x0000_0100_0000_01b3 }
        tag = "\"" + String(digest, radix: 16) + "\""
    }

    package static let index = PageFile("", "text/html; charset=utf-8", PackageResources.index_html)
    package static let operatorPage = PageFile("operator", "text/html; charset=utf-8", PackageResources.operator_html)
    package static let openAPI = PageFile("openapi.json", "application/json", PackageResources.openapi_json)

    private static func script(_ name: String, _ bytes: [UInt8]) -> PageFile {
        PageFile(name, "text/javascript; charset=utf-8", bytes)
    }

    package static let assets = [
        PageFile("style.css", "text/css; charset=utf-8", PackageResources.style_css),
        script("words.js", PackageResources.words_js),
        script("api.js", PackageResources.api_js),
        script("say.js", PackageResources.say_js),
        script("map.js", PackageResources.map_js),
        script("poster.js", PackageResources.poster_js),
        script("holds.js", PackageResources.holds_js),
        script("reserve.js", PackageResources.reserve_js),
        script("line.js", PackageResources.line_js),
        script("shop.js", PackageResources.shop_js),
        script("operator.js", PackageResources.operator_js),
    ]
}
