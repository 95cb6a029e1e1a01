"""Runs of plain handlers: events, outputs, failures, logs."""

from __future__ import annotations

import time
from typing import Any

import pytest
from driver import AGENTS, CANCELLED, DONE, EVENT, FAIL, LOG, Worker, running, zygote


def handler(name: str) -> dict[str, str]:
    return {"handler": f"plain:{name}"}


def test_a_token_is_26_bytes() -> None:
    with running(AGENTS, handler("guide")) as worker:
        worker.run(7)
        (token,) = [each for each in worker.events_raw(7) if each.b == 1]
        assert (token.kind, token.a, token.b, token.run, token.payload) == (0x42, 0, 1, 7, b'"content":"Hi"')


def test_events_of_the_guide_in_order() -> None:
    with running(AGENTS, handler("guide")) as worker:
        events, output = worker.run(1, {})
        assert events == [
            ("progress", {"step": "processing", "progress": 0.5, "message": "Halfway done"}),
            ("checkpoint", {"name": "intermediate", "data": {"parsed": True}}),
            ("fraud_check", {"passed": True, "score": 0.02}),
            ("step", {"node_name": "my_node", "duration_ms": 150, "input_keys": [], "output_keys": []}),
            ("token", {"content": "Hi"}),
        ]
        assert output == {"ids": ["run-1", None], "identity": True}


def test_async_handlers_get_their_events_back() -> None:
    with running(AGENTS, handler("guide_async")) as worker:
        assert worker.ready()["async"] is True
        events, output = worker.run(1)
        assert [name for name, _ in events] == ["progress", "checkpoint", "fraud_check", "step", "token"]
        assert events[3][1] == {"node_name": "my_node", "duration_ms": 2, "input_keys": ["a"], "output_keys": ["b"]}
        assert output == {"types": ["progress", "token"], "same": True}


def test_on_invoke_no_event_leaves() -> None:
    with running(AGENTS, handler("guide")) as worker:
        events, output = worker.run(1, mode="invoke", run_id="q", request_id="q")
        assert events == []
        assert output["ids"] == ["q", "q"]
    with running(AGENTS, handler("guide_async")) as worker:
        assert worker.run(1, mode="invoke") == ([], {"types": [None, None], "same": True})


def test_identity_is_read_only() -> None:
    with running(AGENTS, handler("guide")) as worker:
        _, output = worker.run(1, identity={"subject": "a", "tenant": None, "roles": ["r"], "permissions": []})
        assert output["identity"] is False


def test_a_filter_decides_in_the_worker() -> None:
    with running(AGENTS, handler("guide"), filter=["token", "custom:fraud_check"]) as worker:
        events, _ = worker.run(1)
        assert [name for name, _ in events] == ["fraud_check", "token"]


@pytest.mark.parametrize(
    ("name", "payload", "output"),
    [
        ("returns_coroutine", {}, {"types": ["progress", "token"], "same": True}),
        ("called", {"a": 5}, {"called": 5}),
        ("positional", {"a": 1}, {"run": "run-1", "payload": {"a": 1}}),
        ("context_first", {"a": 1}, {"run": "run-1", "payload": {"a": 1}}),
        ("in_executor", {}, {"worked": True}),
    ],
)
def test_handlers_of_every_shape(name: str, payload: Any, output: Any) -> None:
    with running(AGENTS, handler(name)) as worker:
        assert worker.run(1, payload)[1] == output


def test_properties_that_were_left_out_are_none() -> None:
    with running(AGENTS, handler("echo"), properties=["a", "b"]) as worker:
        assert worker.run(1, {"b": "5", "c": 1})[1] == {"a": None, "b": "5", "c": 1}


@pytest.mark.parametrize("name", ["pieces", "pieces_async"])
def test_generators(name: str) -> None:
    with running(AGENTS, handler(name)) as worker:
        events, output = worker.run(1)
        assert output == {"text": "Hello, world"}
        assert [fields["content"] for kind, fields in events if kind == "token"] == ["Hello", ", world"]
        if name == "pieces":
            assert events[1] == ("progress", {"step": "half", "progress": 1.0})
            assert events[3] == ("mine", {"a": 1})
            assert worker.run(2, {"output": True})[1] == {"done": True}


def test_conversion_of_outputs_and_events() -> None:
    with running(AGENTS, handler("convert")) as worker:
        events, output = worker.run(1)
        deep = output.pop("deep")
        assert events[0][1].pop("deep") == deep
        assert events == [("converted", output)]
        for _ in range(50):
            (deep,) = deep
        assert deep == "<max depth 50 exceeded>"
        assert output == {
            "point": {"x": 1, "y": {"x": 2, "y": None}},
            "when": "2026-01-02T03:04:05",
            "day": "2026-01-02",
            "uuid": "00000000-0000-0000-0000-000000000001",
            "path": "/a/b",
            "decimal": 1.5,
            "delta": 60.0,
            "enum": "red",
            "bytes": "abc",
            "raw": "<bytes: 2 bytes>",
            "tuple": [1, 2],
            "set": ["a", "b"],
            "thing": {"public": {"1": True}},
            "surrogate": "\ud800",
            "big": 1 << 70,
        }


def failure(worker: Worker, number: int, kind: str) -> dict[str, Any]:
    worker.start(number, {"kind": kind})
    return worker.failure(number)


def test_failures_are_hidden_or_shown() -> None:
    with running(AGENTS, handler("fail")) as worker:
        assert failure(worker, 1, "value") == {"error": "the agent failed", "code": "AGENT_ERROR"}
        assert failure(worker, 2, "agent") == {"error": "for the client", "code": "MY_CODE", "details": {"a": 1}}
        assert failure(worker, 3, "code") == {"error": "the agent failed", "code": "QUOTA_USED"}
        lines = worker.logs(1)
        assert lines[0] == (40, "dockrion.agent", "Traceback (most recent call last):")
        assert lines[-1] == (40, "dockrion.agent", "ValueError: the message")
        assert not any("dockrion_worker" in line for _, _, line in lines)
    with running(AGENTS, handler("fail"), expose_errors=True) as worker:
        assert failure(worker, 1, "value") == {"error": "ValueError: the message", "code": "AGENT_ERROR"}
        assert failure(worker, 2, "exit") == {"error": "SystemExit: 3", "code": "AGENT_ERROR"}
        assert failure(worker, 3, "interrupt") == {"error": "KeyboardInterrupt", "code": "AGENT_ERROR"}


def test_exits_in_tasks_end_no_process() -> None:
    with running(AGENTS, handler("fail_in_task"), expose_errors=True) as worker:
        for number in (1, 2):
            worker.start(number)
            assert worker.failure(number) == {"error": "SystemExit: 3", "code": "AGENT_ERROR"}


@pytest.mark.parametrize(
    ("kind", "error"),
    [
        ("none", "the agent returned None, not a dict"),
        ("text", "the agent returned a str, not a dict"),
        ("list", "the agent returned a list, not a dict"),
        ("nan", "the output cannot be sent: a.b[1] is nan, which JSON cannot hold"),
        ("large", "the output has 17825803 bytes, at most 16777216 are allowed"),
    ],
)
def test_what_is_no_output(kind: str, error: str) -> None:
    with running(AGENTS, handler("fail")) as worker:
        assert failure(worker, 1, kind) == {"error": error, "code": "INVALID_OUTPUT"}


def test_wrong_emits_raise_where_they_stand() -> None:
    with running(AGENTS, handler("misuse"), filter=None) as worker:
        events, output = worker.run(1)
        assert events == []
        assert output["found"] == [
            "TypeError: content is a int, not a str",
            "ValueError: event_type 'started' is the server's own: agents cannot emit it",
            "ValueError: event_type 'heartbeat' is the server's own: agents cannot emit it",
            "ValueError: event_type 'no spaces' does not match ^[A-Za-z_][A-Za-z0-9_.:-]{0,127}$",
            "ValueError: data has the field 'run_id', which every event has already",
            "ValueError: a.b[0] is nan, which JSON cannot hold",
            "TypeError: data is a list, not a dict",
            "ValueError: the event 'token' has 1048588 bytes, at most 1047552 are allowed",
            "ValueError: progress is 'much', not a number",
            "ValueError: data has no field 'content', which token needs",
        ]


def test_a_payload_that_python_cannot_read_fails_its_run_only() -> None:
    with running(AGENTS, handler("echo")) as worker:
        worker.start(1, b'{"a":' + b"9" * 5000 + b"}")
        assert worker.failure(1)["code"] == "VALIDATION_ERROR"
        assert worker.run(2, {"a": 1})[1] == {"a": 1}


def test_a_context_beyond_its_run_drops_and_says_so_once() -> None:
    with running(AGENTS, handler("keep")) as worker:
        worker.run(1)
        events, output = worker.run(2)
        assert (events, output) == ([], {"late": False, "again": False})
        assert len([line for _, _, line in worker.logs(2) if "run-1 has ended" in line]) == 1


def test_logs_are_lines_of_their_run() -> None:
    with running(AGENTS, handler("talk")) as worker:
        worker.run(5)
        long = "x" * 8192 + " … [cut: 11808 bytes]"
        lines = worker.logs(5)
        warning = lines.pop(5)
        assert warning[:2] == (30, "py.warnings")
        assert "UserWarning: a warning" in warning[2]
        lines = [line for line in lines if line[1] != "py.warnings"]
        assert lines == [
            (20, "", "a line"),
            (20, "", "two"),
            (20, "", "lines"),
            (30, "", "to stderr"),
            (20, "mine", "by logging 5"),
            (20, "", long),
            (20, "", "without an end"),
        ]
        assert (20, "", "from a bare thread") in worker.logs(0)
        # All of them before the run's end.
        kinds = [each.kind for each in worker.by_run[5]]
        assert kinds[-1] == DONE
        assert set(kinds[:-1]) == {LOG}


def test_the_log_level_is_the_dockfiles() -> None:
    with running(AGENTS, handler("talk"), log_level="debug") as worker:
        worker.run(1)
        assert (10, "mine", "below the level") in worker.logs(1)


def test_raw_writes_come_by_the_descriptors() -> None:
    with zygote(AGENTS, handler("noise_of_c")) as started:
        started.wait_for("ready")
        worker = started.worker()
        worker.run(1)
        worker.drain()
        worker.wait_closed()
        assert (worker.out.whole(), worker.err.whole()) == ("raw out\n", "raw err\n")


def test_events_leave_when_they_are_emitted() -> None:
    """Both tokens come while the handler sleeps, also where it holds the event loop."""
    for name in ("emit_then_block", "emit_then_hold_loop"):
        with running(AGENTS, handler(name)) as worker:
            began = time.monotonic()
            worker.start(1, {"seconds": 1.0})
            worker.wait_events(1, 2)
            assert time.monotonic() - began < 0.5
            assert worker.terminal(1).kind == DONE


def test_a_run_ends_once() -> None:
    with running(AGENTS, handler("burst")) as worker:
        for number in range(1, 200):
            worker.start(number, {"count": 3})
            worker.cancel(number)
        for number in range(1, 200):
            assert worker.terminal(number).kind in (DONE, FAIL, CANCELLED)
        for number in range(1, 200):
            frames = [each.kind for each in worker.by_run[number] if each.kind != LOG]
            assert [kind for kind in frames[:-1] if kind != EVENT] == []


def test_a_flood_of_lines_waits_for_a_server_that_does_not_read() -> None:
    with running(AGENTS, handler("talk_much")) as worker:
        worker.reading.clear()
        worker.start(1, {"lines": 60_000})
        time.sleep(0.5)
        worker.reading.set()
        assert worker.terminal(1).kind == DONE
        assert [line for _, _, line in worker.logs(1)] == [f"line {number}" for number in range(60_000)]
