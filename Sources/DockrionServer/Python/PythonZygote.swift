import DockrionCore
import DockrionLoop
import Glibc

/// The process that imports an agent and forks its workers.
final class PythonZygote {
  /// What it tells of.
  protocol Owner: AnyObject {
    func zygote(_ zygote: PythonZygote, said packet: PythonPacket)
    /// It is gone.
    func zygoteHasEnded(_ zygote: PythonZygote, _ reason: String)
    func zygote(_ zygote: PythonZygote, wrote line: String, isError: Bool)
  }

  let pid: pid_t
  /// Whether it has said that it can fork.
  var isReady = false
  private let loop: EventLoop
  private unowned let owner: any Owner
  private var control: Int32
  private var watch: LoopWatch?
  private var writing: LoopWatch?
  private var outputs: [OutputLines] = []
  // What the socket has not taken: a packet and the descriptors that go with it, which are closed behind it.
  private var waiting: [(bytes: [UInt8], rights: [Int32])] = []
  private var isReaped = false
  private var last: [String] = []

  /// Starts it.
  init(_ settings: PythonSettings, _ loop: EventLoop, _ owner: any Owner) throws(ServerError) {
    self.loop = loop
    self.owner = owner
    let (near, far) = try Descriptors.pair(SOCK_SEQPACKET)
    control = near
    var farEnds = [far]
    defer { for descriptor in farEnds { close(descriptor) } }
    var readEnds: [Int32] = []
    do throws(ServerError) {
      for place in 0..<2 {
        let (reading, write) = try Descriptors.pipe()
        readEnds.append(reading)
        farEnds.insert(write, at: place)
      }
      pid = try Descriptors.spawn(
        settings.interpreter, ["-u", "-X", "utf8", "-m", "dockrion_worker", "zygote"], in: settings.folder,
        settings.environment, descriptors: farEnds)
    } catch {
      for descriptor in readEnds + [near] { close(descriptor) }
      throw error
    }
    for (place, descriptor) in readEnds.enumerated() {
      outputs.append(
        OutputLines(loop, descriptor) { [unowned self] line in
          last = last.suffix(7) + [line]
          self.owner.zygote(self, wrote: line, isError: place == 1)
        })
    }
    watch = LoopWatch(loop, near, .read) { [unowned self] _ in receive() }
    watch?.start()
    send(settings.startPacket, [])
  }

  deinit { end() }

  /// Its last lines, for a start that fails.
  var lastLines: [String] { last }

  // MARK: Packets

  /// Has a worker forked.
  ///
  /// - Parameter rights: its socket, its standard output and its standard error; they are closed here.
  func fork(_ worker: Int, _ rights: [Int32]) {
    send(Array("{\"type\":\"fork\",\"worker\":\(worker)}".utf8), rights)
  }

  private func send(_ bytes: [UInt8], _ rights: [Int32]) {
    waiting.append((bytes, rights))
    flush()
  }

  private func flush() {
    while let (bytes, rights) = waiting.first {
      if control >= 0, Descriptors.send(bytes, rights, to: control) < 0 {
        if errno == EINTR { continue }
        if errno == EAGAIN || errno == ENOBUFS {
          if writing == nil { writing = LoopWatch(loop, control, .write) { [unowned self] _ in flush() } }
          writing?.start()
          return
        }
        // It is gone, which the end of the socket tells.
      }
      for descriptor in rights { close(descriptor) }
      waiting.removeFirst()
    }
    writing?.stop()
  }

  private func receive() {
    var bytes = [UInt8](repeating: 0, count: Limits.pythonPacketBytesMax)
    let count = recv(control, &bytes, bytes.count, Int32(MSG_DONTWAIT))
    if count < 0, errno == EAGAIN || errno == EINTR { return }
    guard count > 0 else { return lose("it has ended") }
    do throws(PythonFrameError) {
      let packet = try bytes.withUnsafeBytes { bytes in
        Result { () throws(PythonFrameError) in
          try PythonPacket(UnsafeRawBufferPointer(rebasing: bytes[..<count]))
        }
      }.get()
      owner.zygote(self, said: packet)
    } catch {
      lose("it has sent \(error)")
    }
  }

  private func lose(_ reason: String) {
    guard control >= 0 else { return }
    for output in outputs { output.close() }
    closeControl()
    // It may be what it is that forks; its workers live on.
    kill(pid, SIGKILL)
    reap()
    owner.zygoteHasEnded(self, reason)
  }

  // MARK: Its end

  /// Kills its whole group, workers included.
  func end() {
    if control >= 0 { kill(-pid, SIGKILL) }
    closeControl()
    outputs.removeAll()
    reap()
  }

  private func closeControl() {
    guard control >= 0 else { return }
    watch = nil
    writing = nil
    close(control)
    control = -1
    flush()
  }

  /// It has been killed, which takes no time: the wait is for the system to notice.
  private func reap() {
    guard !isReaped else { return }
    for _ in 0..<200 {
      var status: Int32 = 0
      let found = waitpid(pid, &status, WNOHANG)
      if found == pid || (found < 0 && errno == ECHILD) {
        isReaped = true
        return
      }
      usleep(1000)
    }
  }
}
