// swift-tools-version: 6.2
import PackageDescription

/// The same switch as in the root package.
let warningsAreErrors: [SwiftSetting] =
    Context.environment["REDIS_LOCKS_WARNINGS_AS_ERRORS"] == nil ? [] : [.unsafeFlags(["-warnings-as-errors"])]

let package = Package(
    name: "redislock-examples",
    platforms: [.macOS(.v15)],
    products: [
        .executable(name: "redislock", targets: ["redislock"]),
        .executable(name: "reservation-service", targets: ["reservation-service"]),
    ],
    dependencies: [
        .package(name: "swift-redis-locks", path: ".."),
        .package(url: "https://github.com/apple/swift-argument-parser", from: "1.5.0"),
        .package(url: "https://github.com/apple/swift-crypto", "3.12.0"..<"5.0.0"),
        .package(url: "https://github.com/apple/swift-http-types", from: "1.3.0"),
        .package(url: "https://github.com/apple/swift-log", from: "1.6.0"),
        .package(url: "https://github.com/apple/swift-metrics", from: "2.5.0"),
        .package(url: "https://github.com/apple/swift-nio", from: "2.80.0"),
        .package(url: "https://github.com/apple/swift-system", from: "1.5.0"),
        .package(url: "https://github.com/hummingbird-project/hummingbird", from: "2.10.0"),
        .package(url: "https://github.com/swift-server/async-http-client", from: "1.25.0"),
        .package(url: "https://github.com/swift-server/swift-service-lifecycle", from: "2.6.0"),
        .package(url: "https://github.com/swiftlang/swift-subprocess", from: "1.0.2"),
    ],
    targets: [
        .target(name: "CSpawn"),
        .target(
            name: "RedislockKit",
            dependencies: [
                "CSpawn",
                .product(name: "Logging", package: "swift-log"),
                .product(name: "RedisLocks", package: "swift-redis-locks"),
                .product(name: "Subprocess", package: "swift-subprocess"),
                .product(name: "SystemPackage", package: "swift-system", condition: .when(platforms: [.linux])),
            ]
        ),
        .executableTarget(
            name: "redislock",
            dependencies: [
                "RedislockKit",
                .product(name: "ArgumentParser", package: "swift-argument-parser"),
                .product(name: "Logging", package: "swift-log"),
                .product(name: "RedisLocks", package: "swift-redis-locks"),
            ]
        ),
        // A module of its own, for these files change more often than the code, and take long to compile.
        .target(name: "ReservationPage", resources: [.embedInCode("Page")]),
        .target(
            name: "ReservationServiceKit",
            dependencies: [
                "RedislockKit",
                "ReservationPage",
                .product(name: "AsyncHTTPClient", package: "async-http-client"),
                .product(name: "Crypto", package: "swift-crypto"),
                .product(name: "HTTPTypes", package: "swift-http-types"),
                .product(name: "Hummingbird", package: "hummingbird"),
                .product(name: "HummingbirdCore", package: "hummingbird"),
                .product(name: "Logging", package: "swift-log"),
                .product(name: "CoreMetrics", package: "swift-metrics"),
                .product(name: "Metrics", package: "swift-metrics"),
                .product(name: "NIOCore", package: "swift-nio"),
                .product(name: "NIOHTTP1", package: "swift-nio"),
                .product(name: "RedisLocks", package: "swift-redis-locks"),
                .product(name: "Reservations", package: "swift-redis-locks"),
                .product(name: "ReservationsPostgreSQL", package: "swift-redis-locks"),
                .product(name: "ReservationsSQLite", package: "swift-redis-locks"),
                .product(name: "ServiceLifecycle", package: "swift-service-lifecycle"),
                .product(name: "UnixSignals", package: "swift-service-lifecycle"),
                .product(name: "Subprocess", package: "swift-subprocess"),
                .product(name: "SystemPackage", package: "swift-system", condition: .when(platforms: [.linux])),
            ]
        ),
        .executableTarget(
            name: "reservation-service",
            dependencies: [
                "RedislockKit",
                "ReservationServiceKit",
                .product(name: "ArgumentParser", package: "swift-argument-parser"),
                .product(name: "Logging", package: "swift-log"),
                .product(name: "Metrics", package: "swift-metrics"),
                .product(name: "Reservations", package: "swift-redis-locks"),
                .product(name: "ServiceLifecycle", package: "swift-service-lifecycle"),
            ]
        ),
        // The root package's fixtures are no product of it: these are links to those that use none of its modules.
        .target(name: "TestSupport", path: "Tests/TestSupport"),
        // Kills and stops processes of the service. Not a product.
        .executableTarget(
            name: "service-chaos",
            dependencies: [
                "RedislockKit",
                "ReservationServiceKit",
                "TestSupport",
                .product(name: "ArgumentParser", package: "swift-argument-parser"),
                .product(name: "AsyncHTTPClient", package: "async-http-client"),
                .product(name: "NIOCore", package: "swift-nio"),
                .product(name: "Reservations", package: "swift-redis-locks"),
            ],
            path: "Tests/ServiceChaos"
        ),
        .testTarget(
            name: "RedislockTests",
            dependencies: [
                "RedislockKit",
                "TestSupport",
                "redislock",
                .product(name: "RedisLocks", package: "swift-redis-locks"),
                .product(name: "Subprocess", package: "swift-subprocess"),
                .product(name: "SystemPackage", package: "swift-system", condition: .when(platforms: [.linux])),
            ]
        ),
        .testTarget(
            name: "ReservationServiceTests",
            dependencies: [
                "RedislockKit",
                "ReservationPage",
                "ReservationServiceKit",
                "TestSupport",
                "reservation-service",
                .product(name: "AsyncHTTPClient", package: "async-http-client"),
                .product(name: "Hummingbird", package: "hummingbird"),
                .product(name: "Logging", package: "swift-log"),
                .product(name: "CoreMetrics", package: "swift-metrics"),
                .product(name: "Metrics", package: "swift-metrics"),
                .product(name: "NIOCore", package: "swift-nio"),
                .product(name: "NIOHTTP1", package: "swift-nio"),
                .product(name: "RedisLocks", package: "swift-redis-locks"),
                .product(name: "Reservations", package: "swift-redis-locks"),
                .product(name: "Subprocess", package: "swift-subprocess"),
                .product(name: "SystemPackage", package: "swift-system", condition: .when(platforms: [.linux])),
            ]
        ),
    ],
    swiftLanguageModes: [.v6]
)

for target in package.targets where target.name != "CSpawn" {
    target.swiftSettings = (target.swiftSettings ?? []) + warningsAreErrors
}
