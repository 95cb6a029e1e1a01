/// What a run writes its events to besides its log.
protocol EventJournal: AnyObject {
  /// True once the run's end is stored there.
  var isSettled: Bool { get }
  /// The last event that is known to be stored.
  var stored: Int { get }
  /// How many events it has still to get.
  var waitingEvents: Int { get }
  /// Bytes of the events that it has still to get.
  var waitingBytes: Int { get }
  /// True while it has still to get this event.
  func holds(_ sequence: Int) -> Bool
  /// Writes what it lacks, unless a write is under way.
  func pump()
  /// Asks how far it is, also when there is nothing to write.
  func probe()
  /// Shows an end that it has still to get, unless others may have ended the run otherwise.
  func showEnd()
  /// Nothing of the run is written any more.
  func close()
}
