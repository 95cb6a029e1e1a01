// swift-tools-version: 6.2
import PackageDescription

let package = Package(
  name: "micro",
  dependencies: [
    .package(name: "dockrion", path: "../.."),
    .package(url: "https://github.com/google/swift-benchmark", from: "0.1.2"),
  ],
  targets: [
    .executableTarget(
      name: "Micro",
      dependencies: [
        .product(name: "DockrionCore", package: "dockrion"),
        .product(name: "Benchmark", package: "swift-benchmark"),
      ],
      swiftSettings: [.swiftLanguageMode(.v6), .treatAllWarnings(as: .error)])
  ]
)
