import Hummingbird

/// All routes. What is here stands in `openapi.json` as well; a test compares.
package enum ShopRouter {
    package static func make(_ shop: Shop) -> Router<ShopContext> {
        let router = Router(context: ShopContext.self)
        PageRoutes(shop: shop).add(to: router)
        SystemRoutes(shop: shop).add(to: router)
        ItemRoutes(shop: shop).add(to: router)
        ReservationRoutes(shop: shop).add(to: router)
        RequestRoutes(shop: shop).add(to: router)
        AdminRoutes(shop: shop).add(to: router)
        return router
    }

    package static func makeFront(_ shop: Shop) -> Front<some HTTPResponder<ShopContext>> {
        let limits = shop.settings.limits
        return Front(
            inner: make(shop).buildResponder(),
            limiter: RateLimiter(perSecond: limits.requestsPerSecond, burst: limits.burst),
            requestTime: limits.requestTime, catalogue: shop.settings.catalogue, logger: shop.logger)
    }
}
