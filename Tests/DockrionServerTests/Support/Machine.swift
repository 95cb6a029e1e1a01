import Foundation
import Testing

/// Says how much of the machine a suite's tests need, and gives each test a thread of its own.
///
///     @Suite(.sharesMachine) struct Routes { … }
///     @Suite(.ownsMachine) struct ManyClients { … }
///
/// Tests here block on sockets; on the few threads of the cooperative pool they would block each other. A test
/// that measures time or loads the machine would find its figures spoilt by its neighbours, so it runs alone.
struct MachineTrait: SuiteTrait, TestTrait, TestScoping {
  enum Use { case alone, shared, waiting }

  let use: Use
  var isRecursive: Bool { true }

  func provideScope(
    for test: Test, testCase: Test.Case?, performing function: @Sendable () async throws -> Void
  ) async throws {
    guard testCase != nil else { return try await function() }
    await Machine.shared.enter(use)
    let result: Result<Void, any Error>
    do {
      try await withTaskExecutorPreference(ThreadPerJobExecutor.shared) { try await function() }
      result = .success(())
    } catch {
      result = .failure(error)
    }
    await Machine.shared.leave(use)
    try result.get()
  }
}

extension Trait where Self == MachineTrait {
  /// The test runs beside a few others.
  static var sharesMachine: MachineTrait { MachineTrait(use: .shared) }
  /// The test runs when no other test that starts a server does.
  static var ownsMachine: MachineTrait { MachineTrait(use: .alone) }
  /// The test does little but wait and disturbs nobody.
  static var onlyWaits: MachineTrait { MachineTrait(use: .waiting) }
}

/// Lets a few sharing tests in at once, or one that runs alone, in the order in which they came.
private actor Machine {
  static let shared = Machine()
  private static let sharingTestsMax = 6

  private var sharing = 0
  private var taken = false
  private var queue: [(use: MachineTrait.Use, continuation: CheckedContinuation<Void, Never>)] = []

  func enter(_ use: MachineTrait.Use) async {
    if use == .waiting { return }
    if queue.isEmpty && admit(use) { return }
    await withCheckedContinuation { queue.append((use, $0)) }
  }

  func leave(_ use: MachineTrait.Use) {
    switch use {
    case .waiting: return
    case .shared: sharing -= 1
    case .alone: taken = false
    }
    while let first = queue.first, admit(first.use) {
      queue.removeFirst().continuation.resume()
    }
  }

  private func admit(_ use: MachineTrait.Use) -> Bool {
    switch use {
    case .waiting:
      return true
    case .shared:
      guard !taken, sharing < Self.sharingTestsMax else { return false }
      sharing += 1
    case .alone:
      guard !taken, sharing == 0 else { return false }
      taken = true
    }
    return true
  }
}

private final class ThreadPerJobExecutor: TaskExecutor {
  static let shared = ThreadPerJobExecutor()

  func enqueue(_ job: consuming ExecutorJob) {
    let job = UnownedJob(job)
    Thread.detachNewThread { job.runSynchronously(on: self.asUnownedTaskExecutor()) }
  }
}
