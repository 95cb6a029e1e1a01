"""Runs that are cancelled at random, through small windows, by a server that reads and acknowledges as it pleases."""

from __future__ import annotations

import random
import time
from typing import Any

import pytest
from driver import AGENTS, DONE, EVENT, LOG, running, shared

RUNS = 150


@pytest.mark.parametrize(
    ("name", "payload"),
    [
        ("burst", {"count": 60}),
        ("burst_async", {"count": 60}),
        ("burst_on_loop", {"count": 60}),
        ("in_executor", {"seconds": 0.02}),
        ("block", {"seconds": 0.03, "emits": True}),
        ("talk_much", {"lines": 100}),
        ("pieces", {}),
        ("many_emitters", {"each": 20}),
    ],
)
@pytest.mark.parametrize("window", [4, 1024])
def test_every_run_ends_once_and_those_that_nobody_cancelled_lose_nothing(name: str, payload: Any, window: int) -> None:
    chance = random.Random(window)
    grace = chance.choice([0.0, 0.02, 0.5])
    with running(AGENTS, {"handler": f"plain:{name}"}, window=window, cancel_grace_seconds=grace, threads=4) as worker:
        cancelled = set()
        for number in range(1, RUNS + 1):
            worker.start(number, payload)
            if chance.random() < 0.5:
                chosen = chance.randint(max(1, number - 5), number)
                worker.cancel(chosen)
                cancelled.add(chosen)
            if chance.random() < 0.05:
                worker.reading.clear()
                time.sleep(0.005)
                worker.reading.set()
        for number in range(1, RUNS + 1):
            end = worker.terminal(number)
            kinds = [each.kind for each in worker.by_run[number] if each.kind != LOG]
            assert set(kinds[:-1]) <= {EVENT}
            if number in cancelled:
                continue
            assert end.kind == DONE
            if name.startswith("burst"):
                assert [fields["content"] for _, fields in worker.events(number)] == [f"t{each};" for each in range(60)]
            if name == "talk_much":
                assert [line for _, _, line in worker.logs(number)] == [f"line {each}" for each in range(100)]
        worker.drain()
        worker.wait_closed()
        assert shared().wait_for("exited", worker=worker.number)["status"] == 0
        assert worker.err.whole() == ""
