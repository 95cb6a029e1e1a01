import DockrionCore

/// Memory that is written and read within one call, kept between calls.
package final class Scratch {
  package var writer = ByteWriter(capacity: 4096)

  package init() {}
}
