import ArgumentParser
import DockrionCore
import Foundation

package struct DoctorCommand: ParsableCommand {
  package static let configuration = CommandConfiguration(
    commandName: "doctor",
    abstract: "Checks whether a Dockfile can be served on this machine.",
    discussion: """
      Looks at the libraries, the Dockfile, the agent, the keys, the address, the descriptor limit and, where the \
      Dockfile asks for it, Redis. Each is a pass, a warning or a fail, with what to do. The exit code is 1 \
      when something fails.

      Example: \(Program.current.name) doctor config/Dockfile.yaml
      """)

  @Argument(
    help: "The Dockfile. (default: \(Program.current.dockfile))",
    completion: .file(extensions: ["yaml", "yml"]))
  var dockfile: String?

  package init() {}

  package func run() throws {
    let findings = Doctor(path: dockfile ?? Program.current.dockfile, isGiven: dockfile != nil)
      .findings()
    for finding in findings { print(finding) }
    let failures = findings.count { $0.verdict == .fail }
    if failures > 0 {
      Report.error("\(Program.current.name): \(failures) of \(findings.count) checks failed")
      throw ExitCode(Exit.failure)
    }
  }

  private func print(_ finding: Finding) {
    let style: Terminal.Style
    switch finding.verdict {
    case .pass: style = .green
    case .warn: style = .yellow
    case .fail: style = .red
    }
    let mark = Terminal.output.styled(finding.verdict.rawValue.padded(to: 4), style)
    let lines = finding.text.split(separator: "\n")
    Output.line("\(mark)  \(finding.subject.padded(to: 11)) \(lines.first ?? "")")
    for line in lines.dropFirst() { Output.line("\(String(repeating: " ", count: 18))\(line)") }
    if let advice = finding.advice {
      Output.line("\(String(repeating: " ", count: 18))→ \(advice)")
    }
  }
}

/// What one check found.
struct Finding {
  enum Verdict: String { case pass, warn, fail }

  let verdict: Verdict
  let subject: String
  let text: String
  /// What to do about it.
  var advice: String?

  static func pass(_ subject: String, _ text: String) -> Finding {
    Finding(verdict: .pass, subject: subject, text: text)
  }

  static func warn(_ subject: String, _ text: String, _ advice: String) -> Finding {
    Finding(verdict: .warn, subject: subject, text: text, advice: advice)
  }

  static func fail(_ subject: String, _ text: String, _ advice: String) -> Finding {
    Finding(verdict: .fail, subject: subject, text: text, advice: advice)
  }
}
