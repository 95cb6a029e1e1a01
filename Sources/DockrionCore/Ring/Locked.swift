import Glibc

/// A value behind a `pthread` mutex.
///
/// The standard library's `Mutex` would do, but the thread sanitizer cannot see it: it reports what the lock
/// protects as races. With this one the sanitizer checks everything that crosses threads.
///
/// `@unchecked Sendable`: the value is reached inside `withLock` alone.
package final class Locked<Value>: @unchecked Sendable {
  private let mutex = UnsafeMutablePointer<pthread_mutex_t>.allocate(capacity: 1)
  private var value: Value

  package init(_ value: sending Value) {
    self.value = value
    pthread_mutex_init(mutex, nil)
  }

  deinit {
    pthread_mutex_destroy(mutex)
    mutex.deallocate()
  }

  @inline(__always)
  package func withLock<Result: Sendable>(_ body: (inout Value) throws -> Result) rethrows -> Result {
    pthread_mutex_lock(mutex)
    defer { pthread_mutex_unlock(mutex) }
    return try body(&value)
  }
}
