import CMimalloc

/// mimalloc, which takes the place of the C library's `malloc` in every program that contains the server.
///
/// What a worker allocates for an event, the loop frees: the case for which it is made. `docs/decisions/0005-mimalloc.md`
/// has the figures. An allocator in `LD_PRELOAD` goes before it.
public enum Allocator {
  /// Its version, such as `2.0.9`.
  public static var version: String {
    let number = mi_version()
    return "\(number / 100).\(number / 10 % 10).\(number % 10)"
  }
}
