"""Emits wait for their clients, and none is lost."""

from __future__ import annotations

import time

import pytest
from driver import AGENTS, DONE, PACKAGES, running


@pytest.mark.parametrize("name", ["burst", "burst_async"])
def test_emits_wait_for_credits_and_lose_nothing(name: str) -> None:
    with running(AGENTS, {"handler": f"plain:{name}"}, window=16) as worker:
        worker.acknowledging = False
        worker.start(1, {"count": 100})
        worker.wait_events(1, 16)
        time.sleep(0.1)
        assert len(worker.events(1)) == 16
        # One more for each that is acknowledged; absolute, so that nothing hangs on how many ACKs there are.
        worker.ack(1, 1)
        worker.ack(1, 5)
        worker.wait_events(1, 21)
        time.sleep(0.05)
        assert len(worker.events(1)) == 21
        worker.acknowledging = True
        worker.acknowledge_all()
        assert worker.terminal(1).kind == DONE
        assert [fields["content"] for _, fields in worker.events(1)] == [f"t{number};" for number in range(100)]


def test_a_run_that_waits_holds_no_other() -> None:
    with running(AGENTS, {"handler": "plain:burst_async"}, window=16) as worker:
        worker.acknowledging = False
        worker.start(1, {"count": 1000})
        worker.wait_events(1, 16)
        worker.acknowledging = True
        worker._received.pop(1)
        assert worker.run(2, {"count": 500})[1] == {"count": 500}
        assert len(worker.events(1)) == 16


def test_synchronous_emits_on_the_loop_run_ahead_and_arrive_before_the_end() -> None:
    with running(AGENTS, {"handler": "plain:burst_on_loop"}, window=16) as worker:
        worker.acknowledging = False
        worker.start(1, {"count": 1000})
        worker.wait_events(1, 16)
        time.sleep(0.1)
        assert len(worker.events(1)) == 16
        worker.acknowledging = True
        worker.acknowledge_all()
        assert worker.terminal(1).kind == DONE
        assert [fields["content"] for _, fields in worker.events(1)] == [f"t{number};" for number in range(1000)]


def test_too_far_ahead_fails_the_run_behind_what_was_emitted() -> None:
    with running(AGENTS, {"handler": "plain:burst_on_loop"}, window=16, ahead_bytes=100_000) as worker:
        worker.acknowledging = False
        worker.start(1, {"count": 1000, "size": 1000})
        worker.wait(lambda: [line for _, _, line in worker.logs(1) if "emitted faster" in line], "the log's line")
        assert len(worker.events(1)) == 16
        worker.acknowledging = True
        worker.acknowledge_all()
        assert worker.failure(1)["code"] == "AGENT_TOO_FAST"
        events = worker.events(1)
        # 16 within the window and what 100,000 bytes hold.
        assert len(events) == 16 + 100_000 // (12 + 12 + 4 + 1000)
        assert [int(fields["content"].split(";")[0][1:]) for _, fields in events] == list(range(len(events)))
        assert worker.run(2, {"count": 3})[1] == {"count": 3}


def test_a_cancel_ends_what_waits_for_credits() -> None:
    for name in ("burst", "burst_async", "burst_on_loop"):
        with running(AGENTS, {"handler": f"plain:{name}"}, window=16) as worker:
            worker.acknowledging = False
            worker.start(1, {"count": 1000})
            worker.wait_events(1, 16)
            time.sleep(0.05)
            worker.cancel(1)
            worker.terminal(1)
            assert len(worker.events(1)) == 16


def test_a_server_that_does_not_read_loses_nothing() -> None:
    """The socket is full: emits wait for it, threads and tasks alike."""
    for name in ("burst", "burst_async", "burst_on_loop"):
        with running(AGENTS, {"handler": f"plain:{name}"}, window=100_000) as worker:
            worker.reading.clear()
            for number in range(1, 9):
                worker.start(number, {"count": 5000, "size": 0})
            time.sleep(0.3)
            worker.reading.set()
            for number in range(1, 9):
                assert worker.terminal(number).kind == DONE
                assert [fields["content"] for _, fields in worker.events(number)] == [
                    f"t{each};" for each in range(5000)
                ]


def test_counters_go_around_at_2_to_the_32() -> None:
    """ACKs are modulo 2³²: a run of that many events is simulated by its counters."""
    import sys

    sys.path.insert(0, str(PACKAGES))
    import socket

    from dockrion_events import EventsFilter
    from dockrion_worker.outlet import Outlet
    from dockrion_worker.run import RunContext
    from dockrion_worker.settings import Settings

    near, far = socket.socketpair()
    settings = Settings(agent={}, filter=EventsFilter(None), window=16)
    context = RunContext(1, {"run_id": "r"}, settings, Outlet(near), lambda function: None)  # type: ignore[arg-type,return-value]
    context._sent = context._acked = (1 << 32) - 3
    context._gate = context._acked + 16
    for _ in range(10):
        assert context.sync_emit_token("x")
    assert context.acknowledge((context._sent) & 0xFFFFFFFF) is False
    assert context._acked == (1 << 32) + 7
    assert context._gate == context._acked + 16
    # An older one says nothing new.
    assert context.acknowledge((context._sent - 9) & 0xFFFFFFFF) is False
    assert context._acked == (1 << 32) + 7
    near.close()
    far.close()
