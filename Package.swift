// swift-tools-version: 6.1
import PackageDescription

/// Warnings stop our own build, never that of a package that depends on us: set by `scripts/test`.
let warningsAreErrors: [SwiftSetting] =
    Context.environment["REDIS_LOCKS_WARNINGS_AS_ERRORS"] == nil ? [] : [.unsafeFlags(["-warnings-as-errors"])]

/// Deliberate mistakes that the simulator must catch; never part of what users build. Set by `scripts/simulate`.
let mutants: [SwiftSetting] =
    Context.environment["REDIS_LOCKS_MUTANTS"] == nil
    ? []
    : [
        .define("REDIS_LOCKS_MUTANTS"),
        .unsafeFlags(["-enforce-exclusivity=unchecked"], .when(configuration: .release)),
    ]

let package = Package(
    name: "swift-redis-locks",
    platforms: [.macOS(.v15)],
    products: [
        .library(name: "RedisLocks", targets: ["RedisLocks"]),
        .library(name: "RedisLocksTesting", targets: ["RedisLocksTesting"]),
        .library(name: "Reservations", targets: ["Reservations"]),
        .library(name: "ReservationsPostgreSQL", targets: ["ReservationsPostgreSQL"]),
        .library(name: "ReservationsSQLite", targets: ["ReservationsSQLite"]),
    ],
    dependencies: [
        .package(url: "https://github.com/apple/swift-collections", from: "1.1.0"),
        .package(url: "https://github.com/apple/swift-distributed-tracing", from: "1.1.0"),
        .package(url: "https://github.com/apple/swift-log", from: "1.6.0"),
        .package(url: "https://github.com/apple/swift-metrics", from: "2.5.0"),
        .package(url: "https://github.com/groue/GRDB.swift", from: "7.10.0"),
        .package(url: "https://github.com/swift-server/swift-service-lifecycle", from: "2.6.0"),
    ],
    targets: [
        // No `pkgConfig` on Linux: Debian's hiredis.pc carries -D_FILE_OFFSET_BITS=64, which SwiftPM refuses aloud
        // in every user's build. The header is included by its folder instead.
        .systemLibrary(
            name: "CHiredis",
            providers: [.apt(["libhiredis-dev"]), .brew(["hiredis"])]
        ),
        .target(
            name: "Reactor",
            dependencies: [
                .product(name: "DequeModule", package: "swift-collections"),
                .product(name: "HeapModule", package: "swift-collections"),
            ]
        ),
        .target(
            name: "Hiredis",
            dependencies: [
                "CHiredis", "Reactor",
                .product(name: "DequeModule", package: "swift-collections"),
            ]
        ),
        .target(
            name: "RedisLocks",
            dependencies: [
                "Hiredis", "Reactor",
                .product(name: "DequeModule", package: "swift-collections"),
                .product(name: "Logging", package: "swift-log"),
                .product(name: "Metrics", package: "swift-metrics"),
                .product(name: "ServiceLifecycle", package: "swift-service-lifecycle"),
                .product(name: "Tracing", package: "swift-distributed-tracing"),
            ],
            resources: [.embedInCode("Scripts")]
        ),
        .target(
            name: "RedisLocksTesting",
            dependencies: ["Hiredis", "Reactor", "RedisLocks", .product(name: "Logging", package: "swift-log")]
        ),
        .target(
            name: "Reservations",
            dependencies: [
                "Hiredis", "Reactor", "RedisLocks",
                .product(name: "DequeModule", package: "swift-collections"),
                .product(name: "HeapModule", package: "swift-collections"),
                .product(name: "Logging", package: "swift-log"),
                .product(name: "Metrics", package: "swift-metrics"),
                .product(name: "ServiceLifecycle", package: "swift-service-lifecycle"),
            ]
        ),

        .target(
            name: "TestSupport", dependencies: ["Reactor", "Hiredis"], path: "Tests/TestSupport", exclude: ["ClockShim"]
        ),
        // No product: processes that tests start, stop and kill.
        .executableTarget(
            name: "lock-worker",
            dependencies: [
                "Hiredis", "RedisLocks", "RedisLocksTesting", "TestSupport",
                .product(name: "Metrics", package: "swift-metrics"),
            ],
            path: "Tests/LockWorker"
        ),
        .target(
            name: "ReservationStoreConformance",
            dependencies: ["RedisLocks", "Reservations"],
            path: "Tests/ReservationStoreConformance"
        ),
        .testTarget(name: "TestSupportTests", dependencies: ["TestSupport"]),
        .testTarget(name: "ReactorTests", dependencies: ["Reactor", "TestSupport"]),
        .testTarget(name: "HiredisTests", dependencies: ["Hiredis", "TestSupport"]),
        .testTarget(name: "RedisLocksTests", dependencies: ["RedisLocks", "RedisLocksTesting", "TestSupport"]),
        .testTarget(name: "RedisLocksTestingTests", dependencies: ["RedisLocks", "RedisLocksTesting", "TestSupport"]),
        // Run by scripts/simulate; no product.
        .executableTarget(
            name: "simulate", dependencies: ["Reactor", "RedisLocks", "RedisLocksTesting"], path: "Tests/Simulate"),
        .testTarget(
            name: "SimulationTests", dependencies: ["Reactor", "RedisLocks", "RedisLocksTesting", "TestSupport"],
            exclude: ["corpus.txt"]),
        .testTarget(
            name: "ReservationsTests",
            dependencies: [
                "RedisLocks", "RedisLocksTesting", "ReservationStoreConformance", "Reservations", "TestSupport",
                .product(name: "InMemoryLogging", package: "swift-log"),
                .product(name: "MetricsTestKit", package: "swift-metrics"),
                .product(name: "ServiceLifecycle", package: "swift-service-lifecycle"),
            ]
        ),
        .testTarget(
            name: "IntegrationTests",
            dependencies: [
                "Hiredis", "RedisLocks", "RedisLocksTesting", "TestSupport", "lock-worker",
                .product(name: "InMemoryLogging", package: "swift-log"),
                .product(name: "InMemoryTracing", package: "swift-distributed-tracing"),
                .product(name: "MetricsTestKit", package: "swift-metrics"),
            ],
            exclude: ["Quorum/README.md"]
        ),

        .target(
            name: "ReservationsSQLite",
            dependencies: [
                "Reservations",
                .product(name: "GRDB", package: "GRDB.swift"),
            ],
            resources: [.embedInCode("SQL")]
        ),
        .testTarget(
            name: "ReservationsSQLiteTests",
            dependencies: [
                "RedisLocks", "RedisLocksTesting", "ReservationStoreConformance", "Reservations", "ReservationsSQLite",
                "TestSupport",
                .product(name: "GRDB", package: "GRDB.swift"),
            ]
        ),

        // Found by its folder, as hiredis is.
        .systemLibrary(
            name: "CLibPQ",
            providers: [.apt(["libpq-dev"]), .brew(["libpq"])]
        ),
        .target(
            name: "ReservationsPostgreSQL",
            dependencies: [
                "CLibPQ", "Reactor", "Reservations",
                .product(name: "DequeModule", package: "swift-collections"),
            ],
            resources: [.embedInCode("SQL")]
        ),
        .testTarget(
            name: "ReservationsPostgreSQLTests",
            dependencies: [
                "Reactor", "RedisLocks", "RedisLocksTesting", "ReservationStoreConformance", "Reservations",
                "ReservationsPostgreSQL", "TestSupport",
            ]
        ),

        // What tests start as processes of their own, and kill; torture and comparison of the strategies. Not a product.
        .executableTarget(
            name: "reservation-worker",
            dependencies: [
                "RedisLocks", "ReservationStoreConformance", "Reservations", "ReservationsPostgreSQL",
                "ReservationsSQLite",
                "TestSupport",
                .product(name: "GRDB", package: "GRDB.swift"),
            ],
            path: "Tests/ReservationWorker"
        ),
        .testTarget(name: "TortureTests", dependencies: ["TestSupport"]),
    ],
    swiftLanguageModes: [.v6]
)

for target in package.targets where target.type != .system {
    target.swiftSettings = (target.swiftSettings ?? []) + warningsAreErrors + mutants
}
