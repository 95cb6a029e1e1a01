import ArgumentParser

/// How events are printed.
package enum EventFormat: String, CaseIterable, ExpressibleByArgument { case text, jsonl, sse }

/// How a report is printed.
package enum ReportFormat: String, CaseIterable, ExpressibleByArgument { case text, json }
