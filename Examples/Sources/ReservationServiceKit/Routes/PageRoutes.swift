import HTTPTypes
import Hummingbird
import ReservationPage

/// The pages, and the files that they need: all of them from here.
struct PageRoutes {
    let shop: Shop

    func add(to router: Router<ShopContext>) {
        router.get("/") { _, context in page(.index, context) }
        router.get("/operator") { _, context in page(.operatorPage, context) }
        for file in PageFile.assets {
            router.get(RouterPath("/\(file.name)")) { request, _ in asset(file, request) }
        }
        router.get("/favicon.ico") { _, _ in Response(status: .noContent, headers: [.cacheControl: "max-age=86400"]) }
    }

    /// Whoever comes for the first time gets an identity with the page.
    private func page(_ file: PageFile, _ context: ShopContext) -> Response {
        var response = asset(file, nil)
        if context.caller == nil {
            response.headers[.setCookie] = Caller.setCookie(
                Caller.makeSecret(), isBehindTLS: shop.settings.isBehindTLS)
            response.headers[.cacheControl] = "no-store"
        }
        return response
    }

    private func asset(_ file: PageFile, _ request: Request?) -> Response {
        let headers: HTTPFields = [
            .contentType: file.type, .cacheControl: "no-cache", .eTag: file.tag,
        ]
        if request?.headers[.ifNoneMatch] == file.tag { return Response(status: .notModified, headers: headers) }
        return Response(status: .ok, headers: headers, body: ResponseBody(byteBuffer: ByteBuffer(bytes: file.bytes)))
    }
}
