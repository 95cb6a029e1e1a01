"""Figures of one worker, with a reader on its socket that does as little as it can: `python tests/measure.py`.

Not a test: what it prints hangs on the machine. Run it on a quiet one, and compare two trees in turn.
"""

from __future__ import annotations

import contextlib
import time
from collections.abc import Iterator
from typing import Any

from driver import AGENTS, Worker, start_frame, zygote


@contextlib.contextmanager
def worker_for(name: str, **settings: Any) -> Iterator[Worker]:
    with zygote(AGENTS, {"handler": f"plain:{name}"}) as started:
        started.wait_for("ready")
        yield started.worker(**settings)


def processor_seconds(pid: int) -> float:
    with open(f"/proc/{pid}/stat") as file:
        fields = file.read().rsplit(")", 1)[1].split()
    return (int(fields[11]) + int(fields[12])) / 100


def tokens(name: str, count: int, window: int, beside: bool = False, **settings: Any) -> str:
    """Tokens a second of one run, and the worker's processor time for each."""
    with worker_for(name, window=window, **settings) as worker:
        if beside:
            worker.start(2, {"spin": 60})
            worker.wait_events(2, 1)
        worker.reading.clear()
        # The driver's own thread takes one more piece before it stops.
        worker.ping(1)
        time.sleep(0.05)
        used, began = processor_seconds(worker.pid), time.monotonic()
        worker.send(start_frame(1, {"count": count}))
        got = acknowledged = 0
        rest = b""
        while True:
            data = rest + worker.socket.recv(1 << 20)
            got += data.count(b'"content"')
            if data.endswith(b'{"count":%d}' % count):
                break
            rest = data[-8:]
            if got - acknowledged >= window // 4:
                acknowledged = got
                worker.ack(1, got)
        took = time.monotonic() - began
        each = (processor_seconds(worker.pid) - used) / count * 1e6
        return f"{count / took:>10,.0f} tokens/s {each:6.2f} µs of processor time a token"


def delays(worker: Worker, runs: list[int]) -> str:
    found = sorted((each.at - each.fields["at"]) * 1e6 for run in runs for each in worker.events_raw(run))
    return f"p50 {found[len(found) // 2]:,.0f} µs, p99 {found[len(found) * 99 // 100]:,.0f} µs of {len(found):,}"


def idle() -> str:
    with worker_for("spin_or_tick") as worker:
        worker.start(1, {"ticks": 1000})
        worker.terminal(1)
        return delays(worker, [1])


def beside_a_spin() -> str:
    with worker_for("spin_or_tick") as worker:
        worker.start(2, {"spin": 30})
        worker.wait_events(2, 1)
        worker.start(1, {"ticks": 1000})
        worker.terminal(1, 60)
        return delays(worker, [1])


def thousand() -> str:
    with worker_for("ticks_async") as worker:
        runs = list(range(1, 1001))
        for number in runs:
            worker.start(number, {"ticks": 80, "pause": 0.05})
        for number in runs:
            worker.terminal(number, 60)
        return delays(worker, runs)


def main() -> None:
    for name in ("burst", "burst_async"):
        for window in (256, 1024):
            print(f"{name}, window {window}:", tokens(name, 300_000, window))
    print("burst, filtered:", tokens("burst", 1_000_000, 1024, filter="minimal"))
    print("burst_async, filtered:", tokens("burst_async", 1_000_000, 1024, filter="minimal"))
    print("burst beside a thread that spins:", tokens("burst_or_spin", 100_000, 1024, beside=True))
    print("emit to receive, idle:", idle())
    print("emit to receive beside a thread that spins:", beside_a_spin())
    print("emit to receive, 1,000 async runs of 20 tokens/s:", thousand())


if __name__ == "__main__":
    main()
