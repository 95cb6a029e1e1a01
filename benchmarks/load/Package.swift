// swift-tools-version: 6.2
import PackageDescription

let strict: [SwiftSetting] = [
  .swiftLanguageMode(.v6),
  .treatAllWarnings(as: .error),
]

let package = Package(
  name: "dockrion-load",
  products: [.executable(name: "dockrion-load", targets: ["DockrionLoad"])],
  dependencies: [.package(url: "https://github.com/apple/swift-argument-parser", from: "1.8.2")],
  targets: [
    .systemLibrary(name: "CEpoll"),
    .target(name: "LoadClient", dependencies: ["CEpoll"], swiftSettings: strict),
    .executableTarget(
      name: "DockrionLoad",
      dependencies: [
        "LoadClient", .product(name: "ArgumentParser", package: "swift-argument-parser"),
      ],
      swiftSettings: strict),
    .testTarget(name: "LoadClientTests", dependencies: ["LoadClient"], swiftSettings: strict),
  ]
)
