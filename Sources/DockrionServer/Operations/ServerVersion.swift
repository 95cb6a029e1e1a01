/// The version that the server shows of itself.
enum ServerVersion {
  static let text = "0.1.0"
}
