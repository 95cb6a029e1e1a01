"""LangGraph's graphs, with the real package."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any

import pytest
from driver import AGENTS, CANCELLED, PACKAGES, Worker, running, zygote

Events = list[tuple[str, dict[str, Any]]]


def graph(name: str) -> dict[str, str]:
    return {"entrypoint": f"graphs:{name}", "framework": "langgraph"}


def without_times(events: Events) -> Events:
    for name, fields in events:
        if name == "step":
            assert fields.pop("duration_ms") >= 0
            assert fields.pop("input_keys") == []
    return events


def steps(events: Events) -> list[tuple[str, list[str]]]:
    return [(fields["node_name"], fields["output_keys"]) for name, fields in events if name == "step"]


def test_steps_and_events_of_nodes() -> None:
    with running(AGENTS, graph("steps")) as worker:
        assert worker.ready()["kind"] == "langgraph"
        events, output = worker.run(1, {"text": "x"})
        assert events[1][1]["duration_ms"] >= 20
        assert without_times(events) == [
            ("from_sync_node", {"run": "run-1"}),
            ("step", {"node_name": "first", "output_keys": ["text"]}),
            ("from_async_node", {}),
            ("step", {"node_name": "second", "output_keys": ["text", "count"]}),
            ("step", {"node_name": "nothing", "output_keys": []}),
        ]
        assert output == {"text": "x12", "count": 5, "messages": [], "items": []}
        assert worker.run(2, {"text": "x"}, mode="invoke") == ([], output)


def test_messages_become_tokens_calls_results_and_usage() -> None:
    with running(AGENTS, graph("messages")) as worker:
        events, output = worker.run(1, {})
        assert [each for each in without_times(events) if each[0] != "step"] == [
            *[("token", {"content": text}) for text in ("Hello", " ", "big", " ", "world")],
            ("reasoning", {"content": "hm"}),
            ("token", {"content": "I call", "finish_reason": "tool_calls"}),
            ("tool_call", {"id": "c1", "name": "search", "args": {"q": 1}, "index": 0}),
            (
                "usage",
                {"input_tokens": 3, "output_tokens": 4, "reasoning_tokens": 1, "cached_input_tokens": 2, "model": "m1"},
            ),
            ("tool_result", {"id": "c1", "output": "found"}),
            ("tool_result", {"id": "c2", "output": "failed", "is_error": True}),
        ]
        kinds = [each["type"] for each in output["messages"]]
        assert kinds == ["ai", "ai", "tool", "tool", "human"]
        assert output["messages"][0]["content"] == "Hello big world"


def test_pieces_of_calls_come_as_they_come() -> None:
    with running(AGENTS, graph("chunks"), filter="ui") as worker:
        events, _ = worker.run(1, {})
        assert events[:-1] == [
            ("reasoning", {"content": "thinking"}),
            ("token", {"content": "Let me"}),
            ("tool_call", {"id": "c1", "name": "search", "args": "", "index": 0}),
            ("tool_call", {"args": '{"q"', "index": 0}),
            ("tool_call", {"args": ":1}", "index": 0}),
            ("token", {"content": "", "finish_reason": "tool_calls"}),
            ("usage", {"input_tokens": 3, "output_tokens": 4}),
        ]


@pytest.mark.parametrize(
    ("allowed", "names"),
    [
        ("chat", {"token", "step"}),
        ("minimal", set()),
        (["custom:usage"], {"usage"}),
        (["custom:tool_call", "step"], {"tool_call", "step"}),
    ],
)
def test_the_filter_decides(allowed: Any, names: set[str]) -> None:
    with running(AGENTS, graph("chunks"), filter=allowed) as worker:
        assert {name for name, _ in worker.run(1, {})[0]} == names


def test_stream_writers() -> None:
    with running(AGENTS, graph("writers")) as worker:
        assert without_times(worker.run(1, {})[0]) == [
            ("progress", {"step": "half", "progress": 0.5}),
            ("mine", {"a": 1}),
            ("custom", {"value": {"no": "type"}}),
            ("custom", {"value": "text"}),
            ("step", {"node_name": "writes", "output_keys": []}),
        ]
    with running(AGENTS, graph("bad_writer"), expose_errors=True) as worker:
        worker.start(1, {})
        assert worker.failure(1)["error"].startswith("ValueError: event_type 'complete' is the server's own")


def test_subgraphs_have_their_parents_name() -> None:
    with running(AGENTS, graph("nested")) as worker:
        events, output = worker.run(1, {"text": "x"})
        assert [name for name, _ in steps(events)] == ["parent:inner", "parent:second", "parent"]
        assert output["text"] == "xi2"


def test_parallel_nodes_are_measured_from_their_supersteps_begin() -> None:
    with running(AGENTS, graph("parallel")) as worker:
        events, output = worker.run(1, {})
        times = {fields["node_name"]: fields["duration_ms"] for name, fields in events if name == "step"}
        assert times["slow_b"] >= 100
        assert times["slow_a"] >= 150
        assert output["items"] == ["a", "b"]


def test_outputs_are_cut_to_the_output_schema() -> None:
    with running(AGENTS, graph("narrow")) as worker:
        assert worker.run(1, {"text": "x"})[1] == {"text": "x12"}


def test_the_functional_api_and_commands_of_nodes() -> None:
    with running(AGENTS, graph("function_api")) as worker:
        assert worker.run(1, {"n": 3})[1] == {"doubled": 6}
    with running(AGENTS, graph("jumps")) as worker:
        events, output = worker.run(1, {})
        assert steps(events) == [("router", ["text"]), ("last", ["count"])]
        assert output["text"] == "jumped"


def interrupt_and_resume(worker: Worker) -> None:
    thread = {"configurable": {"thread_id": "t"}}
    events, output = worker.run(1, {"input": {"text": "x"}, "config": thread})
    (shown,) = output["__interrupt__"]
    assert shown["value"] == {"question": "sure?"}
    assert [each for each in events if each[0] == "checkpoint"] == [
        ("checkpoint", {"name": "interrupt", "data": shown})
    ]
    assert [name for name, _ in steps(events)] == ["first"]
    _, output = worker.run(2, {"command": {"resume": "yes"}, "config": thread})
    assert output["text"] == "x1yes"
    assert "__interrupt__" not in output
    # The same by /invoke, on another thread.
    thread = {"configurable": {"thread_id": "u"}}
    _, output = worker.run(3, {"input": {"text": "x"}, "config": thread}, mode="invoke")
    assert output["__interrupt__"][0]["value"] == {"question": "sure?"}
    assert worker.run(4, {"command": {"resume": "no"}, "config": thread}, mode="invoke")[1]["text"] == "x1no"


def test_interrupts_and_resume_in_memory() -> None:
    with zygote(AGENTS, graph("interrupts")) as started:
        assert started.wait_for("ready")["in_memory_checkpointer"] is True
        interrupt_and_resume(started.worker())


def test_a_checkpointer_without_async_methods_runs_in_threads(tmp_path: Path) -> None:
    environment = {"DATABASE": str(tmp_path / "threads.db")}
    with zygote(AGENTS, graph("interrupts_in_sqlite"), environment=environment) as started:
        ready = started.wait_for("ready")
        # An open database goes through no fork.
        assert ready["preloaded"] is False
        worker = started.worker()
        assert worker.ready()["in_memory_checkpointer"] is False
        interrupt_and_resume(worker)
        assert len([line for _, _, line in worker.logs(1) if "SqliteSaver has no async methods" in line]) == 1
        # Threads outlive their process.
        thread = {"configurable": {"thread_id": "t"}}
        other = started.worker()
        assert other.run(1, {"command": {"update": {"text": "z"}}, "config": thread})[1]["text"] == "z"


def test_threads_are_the_conversation_the_configs_or_the_runs_own() -> None:
    with running(AGENTS, graph("remembers")) as worker:
        assert worker.run(1, {}, conversation_id="c")[1]["count"] == 1
        assert worker.run(2, {}, conversation_id="c")[1]["count"] == 2
        named = {"input": {}, "config": {"configurable": {"thread_id": "c"}}}
        assert worker.run(3, named, conversation_id="other")[1] == {"count": 3, "items": ["x"] * 3, "messages": []}
        assert worker.run(4, {})[1]["count"] == 1
        assert worker.run(5, {})[1]["count"] == 1


def test_config_of_an_envelope() -> None:
    with running(AGENTS, graph("config")) as worker:
        config = {"configurable": {"mine": 5}, "recursion_limit": 7, "tags": ["a"], "metadata": {"m": 1}}
        _, output = worker.run(1, {"input": {"text": "x"}, "config": config})
        assert output["other"] == "True"
        assert output["items"] == ["run_id=run-1", "thread_id=None", "mine=5", "7", "['a']", "False", "x"]
        assert worker.run(2, {"text": "y"})[1]["items"][-1] == "y"
        assert worker.run(3, {"input": {"text": "z"}})[1]["items"][-1] == "z"


def test_input_that_is_a_key_of_the_state_is_no_envelope() -> None:
    with running(AGENTS, graph("state_with_input")) as worker:
        assert worker.run(1, {"input": "x"})[1]["text"] == "x"
        assert worker.run(2, {"input": {"input": "y"}, "config": {}})[1]["text"] == "y"


def test_properties_are_filled_where_the_state_can_be_none() -> None:
    with running(AGENTS, graph("remembers"), properties=["text", "items", "messages", "unknown"]) as worker:
        assert worker.run(1, {})[1] == {"text": None, "count": 1, "items": ["x"], "messages": []}
        _, output = worker.run(2, {"input": {"text": "x"}, "config": {}})
        assert output["text"] == "x"


@pytest.mark.parametrize(
    ("payload", "error"),
    [
        ({"input": {}, "config": {"callbacks": []}}, "config has 'callbacks'"),
        ({"input": {}, "config": []}, "config is a list"),
        ({"config": {"configurable": {"__pregel_x": 1}}}, "names that begin with __ are LangGraph's own"),
        ({"command": {"graph": "x"}}, "command has 'graph'"),
        ({"command": {"resume": 1}, "input": {}}, "input and command exclude each other"),
    ],
)
def test_envelopes_that_no_graph_takes(payload: Any, error: str) -> None:
    with running(AGENTS, graph("config")) as worker:
        worker.start(1, payload)
        failure = worker.failure(1)
        assert failure["code"] == "VALIDATION_ERROR"
        assert error in failure["error"]


@pytest.mark.parametrize("name", ["waiting", "waiting_in_thread"])
def test_a_graph_is_cancelled(name: str) -> None:
    with running(AGENTS, graph(name), cancel_grace_seconds=0.4) as worker:
        worker.start(1, {})
        worker.wait_events(1, 1)
        began = time.monotonic()
        worker.cancel(1)
        assert worker.terminal(1).kind == CANCELLED
        assert time.monotonic() - began < 5


def test_objects_that_look_like_graphs() -> None:
    with running(AGENTS, graph("streamer")) as worker:
        events, output = worker.run(1, {"n": 3})
        assert without_times(events) == [
            ("token", {"content": "Hel"}),
            ("token", {"content": "lo"}),
            ("mine", {"modes": 4}),
            ("step", {"node_name": "node", "output_keys": ["a"]}),
            ("step", {"node_name": "last", "output_keys": ["b"]}),
        ]
        assert output == {"b": 3}
        assert worker.run(2, {"n": 3}, mode="invoke") == ([], {"invoked": 3})
    with running(AGENTS, graph("invoker")) as worker:
        assert worker.run(1, {"n": 3}) == ([("token", {"content": "x"})], {"invoked": 3})


def test_a_graph_that_was_not_compiled_is_told() -> None:
    with zygote(AGENTS, graph("uncompiled")) as started:
        message = started.wait_for("fatal")["message"]
        assert message.endswith("StateGraph, which has neither invoke nor stream: return its .compile()")


def test_a_node_that_raises() -> None:
    with running(AGENTS, graph("failing"), expose_errors=True) as worker:
        worker.start(1, {"text": ""})
        assert worker.failure(1) == {"error": "ValueError: in a node", "code": "AGENT_ERROR"}


def test_the_example_runs() -> None:
    folder = PACKAGES / "examples" / "langgraph-agent"
    allowed = ["token", "step", "progress", "custom:order"]
    with running(folder, {"entrypoint": "app.graph:build_graph", "framework": "langgraph"}, filter=allowed) as worker:
        events, output = worker.run(1, {"question": "Where is my order 42?"})
        assert output["answer"] == "Your order 42 is on its way."
        assert "".join(fields["content"] for name, fields in events if name == "token") == output["answer"]
        assert ("order", {"number": "42", "status": "on its way"}) in events
        assert [name for name, _ in steps(events)] == ["look_up", "answer"]


def test_workers_with_langgraph_share_its_memory() -> None:
    def private_kilobytes(pid: int) -> int:
        with open(f"/proc/{pid}/smaps_rollup") as file:
            return sum(int(line.split()[1]) for line in file if line.startswith("Private_"))

    with zygote(AGENTS, graph("steps")) as started:
        started.wait_for("ready")
        started.worker()
        began = time.monotonic()
        worker = started.worker()
        took = time.monotonic() - began
        assert private_kilobytes(worker.pid) < 12 << 10
        assert took < 2
