"""Many runs, many events: what a process carries. Figures that hang on the machine are compared within the run."""

from __future__ import annotations

import time
from statistics import median

from driver import AGENTS, DONE, Worker, running


def resident_kilobytes(pid: int) -> int:
    with open(f"/proc/{pid}/status") as file:
        return next(int(line.split()[1]) for line in file if line.startswith("VmRSS"))


def test_a_thousand_async_runs_wait_in_one_process() -> None:
    with running(AGENTS, {"handler": "plain:wait"}) as worker:
        worker.run(5000, {"tokens": 1, "pause": 0})
        before = resident_kilobytes(worker.pid)
        for number in range(1, 1001):
            worker.start(number, {"tokens": 3, "pause": 1.5})
        worker.wait(lambda: sum(1 for each in worker.by_run if 0 < each < 5000) == 1000, "all have begun")
        each = (resident_kilobytes(worker.pid) - before) / 1000
        assert each < 16
        for number in range(1, 1001):
            assert worker.terminal(number).kind == DONE
            assert [fields["content"] for _, fields in worker.events(number)] == ["0", "1", "2"]


def test_sync_runs_beyond_the_threads_wait_their_turn() -> None:
    with running(AGENTS, {"handler": "plain:block"}, threads=4) as worker:
        for number in range(1, 21):
            worker.start(number, {"seconds": 0.02})
        for number in range(1, 21):
            assert worker.terminal(number).kind == DONE


def gaps(worker: Worker, run: int) -> list[float]:
    """Seconds between an event's emission and its arrival here."""
    return [each.at - each.fields["at"] for each in worker.events_raw(run)]


def test_a_handler_that_spins_delays_other_runs_events_little() -> None:
    """Beside a thread that spins in Python, a thread that emits every 2 ms."""
    with running(AGENTS, {"handler": "plain:spin_or_tick"}) as worker:
        worker.start(1, {"ticks": 200})
        worker.terminal(1)
        alone = median(gaps(worker, 1))
        worker.start(2, {"spin": 1.5})
        worker.wait_events(2, 1)
        worker.start(3, {"ticks": 200})
        worker.terminal(3)
        beside = median(gaps(worker, 3))
        # A send that gave the GIL away would come back a switch interval later, 5 ms by default, for each event.
        assert beside < max(0.005, 20 * alone)
        assert worker.terminal(2, 20).kind == DONE


def test_threads_and_tasks_of_one_run_lose_nothing() -> None:
    """Several threads and tasks emit at once through a small window: the counters are exact."""
    with running(AGENTS, {"handler": "plain:many_emitters"}, window=8) as worker:
        worker.start(1, {"each": 500})
        assert worker.terminal(1).kind == DONE
        got: dict[str, list[int]] = {}
        for _, fields in worker.events(1):
            who, number = fields["content"].split(" ")
            got.setdefault(who, []).append(int(number))
        assert sorted(got) == ["loop", "task0", "task1", "thread0", "thread1", "thread2"]
        for numbers in got.values():
            assert numbers == list(range(500))


def test_tokens_of_one_process_to_one_reader() -> None:
    """A million bytes of frames through a window, counted as they come; benchmarks say how fast."""
    with running(AGENTS, {"handler": "plain:burst_async"}) as worker:
        began = time.monotonic()
        worker.start(1, {"count": 30_000})
        assert worker.terminal(1, 60).kind == DONE
        took = time.monotonic() - began
        assert [fields["content"] for _, fields in worker.events(1)] == [f"t{number};" for number in range(30_000)]
        # The reader here is Python, too, and parses each frame on one of the same cores.
        assert took < 10
