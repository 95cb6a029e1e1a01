"""Cancelled runs: what the agent sees, and when its place is free."""

from __future__ import annotations

import random
import time
from typing import Any

import pytest
from driver import AGENTS, CANCELLED, DONE, Worker, running


def cancelled(worker: Worker, payload: Any = None, *, number: int = 1, after: int = 1) -> float:
    """Seconds from CANCEL to CANCELLED."""
    worker.start(number, payload or {})
    worker.wait_events(number, after)
    began = time.monotonic()
    worker.cancel(number, "reason")
    assert worker.terminal(number).kind == CANCELLED
    return time.monotonic() - began


def test_an_async_agents_task_is_cancelled() -> None:
    with running(AGENTS, {"handler": "plain:wait"}) as worker:
        assert cancelled(worker) < 0.5


def test_a_sync_agent_gets_it_at_its_next_emit() -> None:
    with running(AGENTS, {"handler": "plain:block"}) as worker:
        assert cancelled(worker, {"seconds": 60, "emits": True}) < 0.5


def test_a_filtered_emit_raises_as_well() -> None:
    with running(AGENTS, {"handler": "plain:block"}, filter=["token"]) as worker:
        assert cancelled(worker, {"seconds": 60, "emits": True}) < 0.5


def test_a_sync_agent_sees_it_at_once() -> None:
    with running(AGENTS, {"handler": "plain:block"}) as worker:
        worker.start(1, {"seconds": 60, "looks": True})
        worker.wait_events(1, 1)
        worker.cancel(1)
        end = worker.terminal(1)
        assert (end.kind, end.json) == (DONE, {"saw": True})


@pytest.mark.parametrize("name", ["spin", "spin_async"])
def test_one_that_spins_is_interrupted_at_half_of_its_grace(name: str) -> None:
    with running(AGENTS, {"handler": f"plain:{name}"}, cancel_grace_seconds=1) as worker:
        took = cancelled(worker, {"seconds": 60})
        assert 0.4 < took < 5
        assert (20, "", "interrupted") in worker.logs(1)
        # The process is well.
        assert worker.run(2, {"seconds": 0})[1] == {"spun": True}


def test_one_that_blocks_in_pieces_is_interrupted() -> None:
    with running(AGENTS, {"handler": "plain:block"}, cancel_grace_seconds=1) as worker:
        assert 0.4 < cancelled(worker, {"seconds": 60}) < 5


def test_an_agent_that_swallows_its_cancellation_is_cancelled_again() -> None:
    with running(AGENTS, {"handler": "plain:stubborn"}, cancel_grace_seconds=1) as worker:
        worker.start(1, {"times": 2})
        worker.wait_events(1, 1)
        began = time.monotonic()
        worker.cancel(1)
        end = worker.terminal(1)
        assert (end.kind, end.json) == (DONE, {"stubborn": True})
        assert 0.4 < time.monotonic() - began < 5
        assert worker.events(1) == [("token", {"content": "on"})]


def test_a_place_is_free_when_the_last_job_has_ended() -> None:
    with running(AGENTS, {"handler": "plain:in_executor"}, cancel_grace_seconds=60) as worker:
        worker.start(1, {"seconds": 0.6})
        worker.wait_events(1, 1)
        worker.cancel(1)
        time.sleep(0.2)
        assert [each for each in worker.by_run[1] if each.kind == CANCELLED] == []
        assert worker.terminal(1).kind == CANCELLED


def test_jobs_of_an_executor_are_interrupted() -> None:
    with running(AGENTS, {"handler": "plain:in_executor"}, cancel_grace_seconds=1) as worker:
        assert 0.4 < cancelled(worker, {"seconds": 60}) < 5


def test_a_run_that_waits_for_a_thread_never_starts() -> None:
    with running(AGENTS, {"handler": "plain:block"}, threads=1) as worker:
        worker.start(1, {"seconds": 60, "emits": True})
        worker.wait_events(1, 1)
        worker.start(2, {"seconds": 60})
        worker.cancel(2)
        assert worker.terminal(2).kind == CANCELLED
        assert worker.events(2) == []
        assert worker.ready()
        worker.cancel(1)
        assert worker.terminal(1).kind == CANCELLED


def test_a_thousand_cancels_at_once() -> None:
    with running(AGENTS, {"handler": "plain:wait"}) as worker:
        for number in range(1, 1001):
            worker.start(number)
        worker.wait(lambda: len(worker.by_run) >= 1000, "1,000 runs")
        for number in range(1, 1001):
            worker.cancel(number)
        for number in range(1, 1001):
            assert worker.terminal(number).kind == CANCELLED


def test_interrupted_threads_leave_the_stream_whole() -> None:
    """Exceptions come between the lines of handlers that print as fast as they can; no frame is cut or lost."""
    with running(AGENTS, {"handler": "plain:talk_much"}, cancel_grace_seconds=0.02, threads=8) as worker:
        for number in range(1, 61):
            worker.start(number, {"lines": 100_000})
            time.sleep(0.005)
            worker.cancel(number)
        for number in range(1, 61):
            assert worker.terminal(number).kind == CANCELLED
        for number in range(1, 61):
            lines = [line for _, logger, line in worker.logs(number) if not logger]
            # The last one may have been cut in two by the exception, between print's two writes.
            assert lines[:-1] == [f"line {each}" for each in range(len(lines) - 1)]
        assert worker.run(100, {"lines": 1})[1] == {}


@pytest.mark.parametrize("name", ["spin", "spin_async"])
def test_interruptions_at_a_runs_end_lose_no_end(name: str) -> None:
    """Cancels and interruptions come while runs end by themselves: each ends once, and the process goes on."""
    chance = random.Random(3)
    with running(AGENTS, {"handler": f"plain:{name}"}, cancel_grace_seconds=0.002) as worker:
        for number in range(1, 301):
            worker.start(number, {"seconds": 0.004})
            worker.wait_events(number, 1)
            time.sleep(chance.uniform(0, 0.005))
            worker.cancel(number)
        for number in range(1, 301):
            assert worker.terminal(number).kind in (CANCELLED, DONE)
        assert worker.run(1000, {"seconds": 0})[1] == {"spun": True}
