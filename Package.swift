// swift-tools-version: 6.2
import PackageDescription

let strict: [SwiftSetting] = [
  .swiftLanguageMode(.v6),
  .treatAllWarnings(as: .error),
]

// An emit stays on its caller's executor: asking for another one costs more than the event.
let staying: [SwiftSetting] = strict + [.enableUpcomingFeature("NonisolatedNonsendingByDefault")]

let package = Package(
  name: "dockrion",
  products: [
    .library(name: "DockrionCore", targets: ["DockrionCore"]),
    .library(name: "DockrionServer", targets: ["DockrionServer"]),
    .library(name: "DockrionProgram", targets: ["DockrionProgram"]),
    .executable(name: "dockrion", targets: ["DockrionCLI"]),
  ],
  dependencies: [
    .package(url: "https://github.com/apple/swift-argument-parser", from: "1.8.2"),
    .package(url: "https://github.com/apple/swift-collections", from: "1.6.0"),
    .package(url: "https://github.com/apple/swift-log", from: "1.16.2"),
    .package(url: "https://github.com/jpsim/Yams", from: "6.2.2"),
  ],
  targets: [
    .systemLibrary(
      name: "CLibevent", pkgConfig: "libevent", providers: [.apt(["libevent-dev"])]),
    // Without pkg-config, whose -D flag for hiredis SwiftPM refuses with a warning.
    .systemLibrary(name: "CHiredis", providers: [.apt(["libhiredis-dev"])]),
    .systemLibrary(name: "CCurl", providers: [.apt(["libcurl4-openssl-dev"])]),
    .systemLibrary(name: "CLinux"),
    .systemLibrary(name: "CMimalloc", providers: [.apt(["libmimalloc-dev"])]),
    .target(
      name: "DockrionCore",
      dependencies: [
        .product(name: "DequeModule", package: "swift-collections"),
        .product(name: "Yams", package: "Yams"),
      ],
      swiftSettings: staying),
    // The reactor and HTTP on it. A target of its own, so that nothing in it can ask the server for anything.
    .target(
      name: "DockrionLoop", dependencies: ["CLibevent", "DockrionCore"], swiftSettings: strict),
    .target(
      name: "DockrionServer",
      dependencies: [
        "CHiredis", "CLibevent", "CLinux", "CMimalloc", "DockrionCore", "DockrionLoop",
        .product(name: "DequeModule", package: "swift-collections"),
        .product(name: "Logging", package: "swift-log"),
      ],
      swiftSettings: strict),
    // The commands that every program with agents has: without clients, and so without libcurl.
    .target(
      name: "DockrionProgram",
      dependencies: [
        "DockrionCore", "DockrionLoop", "DockrionServer",
        .product(name: "ArgumentParser", package: "swift-argument-parser"),
        .product(name: "Logging", package: "swift-log"),
        .product(name: "Yams", package: "Yams"),
      ],
      swiftSettings: strict),
    .executableTarget(
      name: "DockrionCLI",
      dependencies: [
        "CCurl", "DockrionCore", "DockrionLoop", "DockrionProgram", "DockrionServer",
        .product(name: "ArgumentParser", package: "swift-argument-parser"),
        .product(name: "DequeModule", package: "swift-collections"),
        .product(name: "Logging", package: "swift-log"),
        .product(name: "Yams", package: "Yams"),
      ],
      swiftSettings: strict),
    .executableTarget(
      name: "SupportBotExample", dependencies: ["DockrionProgram"], swiftSettings: strict),
    .executableTarget(
      name: "TestAgents", dependencies: ["DockrionCore", "DockrionServer"], path: "Tests/TestAgents",
      swiftSettings: strict),
    .target(
      name: "TestSupport", dependencies: ["DockrionLoop"], path: "Tests/TestSupport", swiftSettings: strict),
    .testTarget(
      name: "DockrionCoreTests", dependencies: ["DockrionCore"], swiftSettings: strict),
    .testTarget(
      name: "DockrionLoopTests", dependencies: ["DockrionCore", "DockrionLoop", "TestSupport"],
      swiftSettings: strict),
    .testTarget(
      name: "DockrionServerTests",
      dependencies: [
        "DockrionLoop", "DockrionServer", "DockrionCLI", "SupportBotExample", "TestAgents",
        "TestSupport",
        .product(name: "Yams", package: "Yams"),
      ],
      swiftSettings: strict),
    .testTarget(
      name: "DockrionCLITests",
      dependencies: [
        "DockrionCLI", "DockrionCore", "DockrionProgram", "SupportBotExample", "TestSupport",
      ],
      resources: [.copy("Golden")], swiftSettings: strict),
  ]
)
