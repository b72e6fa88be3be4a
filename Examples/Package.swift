// swift-tools-version: 6.2
import PackageDescription

/// The same switch as in the root package.
let warningsAreErrors: [SwiftSetting] =
    Context.environment["REDIS_LOCKS_WARNINGS_AS_ERRORS"] == nil ? [] : [.unsafeFlags(["-warnings-as-errors"])]

let package = Package(
    name: "redislock-examples",
    platforms: [.macOS(.v15)],
    products: [
        .executable(name: "redislock", targets: ["redislock"])
    ],
    dependencies: [
        .package(name: "swift-redis-locks", path: ".."),
        .package(url: "https://github.com/apple/swift-argument-parser", from: "1.5.0"),
        .package(url: "https://github.com/apple/swift-log", from: "1.6.0"),
        .package(url: "https://github.com/apple/swift-system", from: "1.5.0"),
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
        // The root package's fixtures are no product of it: these are links to those that use none of its modules.
        .target(name: "TestSupport", path: "Tests/TestSupport"),
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
    ],
    swiftLanguageModes: [.v6]
)

for target in package.targets where target.name != "CSpawn" {
    target.swiftSettings = (target.swiftSettings ?? []) + warningsAreErrors
}
