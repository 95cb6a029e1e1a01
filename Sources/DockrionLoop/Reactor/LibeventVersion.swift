import CLibevent

/// The libevent that this process has loaded.
public enum LibeventVersion {
  /// Such as `2.1.12-stable`.
  public static var text: String { String(cString: event_get_version()) }

  /// True for 2.1.12 or later, which the server is built for.
  public static var isSupported: Bool { event_get_version_number() >= 0x0201_0C00 }
}
