"""The package that agents import, by itself."""

from __future__ import annotations

import asyncio
import dataclasses
import datetime
import json
from typing import Any

import pytest

import dockrion_events
from dockrion_events import (
    AgentError,
    BaseEvent,
    EventsFilter,
    ProgressEvent,
    RunCancelled,
    StreamContext,
    TokenEvent,
    context_scope,
    create_event,
    get_current_context,
    is_terminal_event,
    parse_event,
    set_current_context,
)
from dockrion_events.conversion import encode, is_plain, to_plain

#: What the original 0.0.3 exports, by module.
ORIGINAL = {
    "dockrion_events": (
        "BaseEvent StartedEvent ProgressEvent CheckpointEvent TokenEvent StepEvent CompleteEvent ErrorEvent "
        "HeartbeatEvent CancelledEvent is_terminal_event parse_event EventBus StreamContext EventsFilter RunManager "
        "Run RunStatus EventBackend InMemoryBackend RedisBackend StreamingBackend LangGraphBackend QueueBackend "
        "get_current_context set_current_context context_scope __version__"
    ),
    "dockrion_events.models": "BaseEvent StreamEvent TERMINAL_EVENT_TYPES create_event is_terminal_event parse_event",
    "dockrion_events.context": "StreamContext get_current_context set_current_context context_scope",
    "dockrion_events.filter": "EventsFilter",
    "dockrion_events.bus": "EventBus EventBusFactory create_event_bus",
    "dockrion_events.backends": "EventBackend InMemoryBackend RedisBackend",
    "dockrion_events.backends.memory": "InMemoryBackend",
    "dockrion_events.backends.redis": "RedisBackend",
    "dockrion_events.run_manager": "RunManager Run RunStatus",
    "dockrion_events.streaming": "StreamingBackend LangGraphBackend QueueBackend",
}


@pytest.mark.parametrize("module", ORIGINAL)
def test_every_name_of_the_original_can_be_imported(module: str) -> None:
    imported = __import__(module, fromlist=["x"])
    for name in ORIGINAL[module].split():
        assert hasattr(imported, name), name


def test_what_the_server_keeps_cannot_be_made_here() -> None:
    for name in ("EventBus", "EventBackend", "InMemoryBackend", "RedisBackend", "RunManager", "Run"):
        with pytest.raises(RuntimeError, match=f"{name} cannot be made here"):
            getattr(dockrion_events, name)()


def queued(events: str | list[str] | None = None) -> StreamContext:
    return StreamContext("run", queue_mode=True, events_filter=EventsFilter(events))


def test_a_context_without_queue_mode_is_the_servers() -> None:
    with pytest.raises(ValueError, match="queue_mode"):
        StreamContext("run")


def test_events_of_a_handlers_own_test() -> None:
    context = queued()
    assert get_current_context() is None
    with context_scope(context):
        current = get_current_context()
        assert current is context
        assert current.sync_emit_token("Hello")
        assert asyncio.run(current.emit_step("node", 1.5, ["a"])) is not None
    assert get_current_context() is None
    assert (context.queue_size(), context.has_queued_events()) == (2, True)
    token, step = context.drain_queued_events()
    assert isinstance(token, TokenEvent)
    assert (token.content, token.run_id, token.sequence, token.type) == ("Hello", "run", 0, "token")
    assert step.to_dict()["duration_ms"] == 2
    assert (context.queue_size(), context.has_queued_events(), context.drain_queued_events()) == (0, False, [])


def test_the_current_context_can_be_set() -> None:
    context = queued()
    set_current_context(context)
    assert get_current_context() is context
    set_current_context(None)
    assert get_current_context() is None


def test_an_event_has_the_originals_fields_and_methods() -> None:
    event = ProgressEvent(run_id="r", step="s", progress=2.5, extra=[1])
    assert (event.progress, event.message, event.sequence) == (1.0, None, 0)
    assert event.id.startswith("evt-")
    assert event.id == event.id
    assert event.timestamp.tzinfo is datetime.timezone.utc
    dumped = event.model_dump()
    assert list(dumped) == ["id", "type", "run_id", "sequence", "timestamp", "step", "progress", "message", "extra"]
    assert dumped["timestamp"] == event.timestamp.isoformat()
    assert json.loads(event.model_dump_json()) == event.to_dict()
    assert event.to_sse() == f"event: progress\ndata: {event.model_dump_json()}\n\n"
    assert parse_event(event.to_dict()) == event
    assert event.model_dump(exclude_none=True, include={"step", "message"}) == {"step": "s"}


def test_events_are_made_by_type() -> None:
    assert isinstance(create_event("token", "r", 3, content="x"), TokenEvent)
    custom = create_event("mine", "r", a=1)
    assert type(custom) is BaseEvent
    assert custom.a == 1  # type: ignore[attr-defined]
    assert is_terminal_event(create_event("error", "r", error="x"))
    assert not is_terminal_event(custom)


def test_events_refuse_what_is_missing_or_of_a_wrong_type() -> None:
    with pytest.raises(ValueError, match="content is missing"):
        TokenEvent(run_id="r")
    with pytest.raises(TypeError, match="content is a int, not str"):
        TokenEvent(run_id="r", content=5)
    with pytest.raises(ValueError, match="type is 'step', not 'token'"):
        TokenEvent(run_id="r", content="x", type="step")
    with pytest.raises(ValueError, match="no type"):
        parse_event({"run_id": "r"})


@pytest.mark.parametrize(
    ("config", "passing", "filtered", "modes"),
    [
        (None, "token step progress checkpoint heartbeat mine", "", ["messages", "updates", "custom"]),
        ("all", "token mine", "", ["messages", "updates", "custom"]),
        ("debug", "token mine", "", ["messages", "updates", "custom"]),
        ("chat", "token step heartbeat started complete", "progress checkpoint mine", ["messages", "updates"]),
        ("minimal", "error cancelled", "token heartbeat mine", ["values"]),
        ("ui", "token checkpoint reasoning tool_call state", "mine", ["messages", "updates", "custom"]),
        (["custom:mine"], "mine", "token other", ["custom"]),
        (["custom:usage"], "usage", "token mine", ["messages"]),
        (["token", "custom", "complete"], "token mine", "step", ["messages", "custom"]),
        (["checkpoint"], "checkpoint", "step", ["updates", "custom"]),
    ],
)
def test_filters(config: Any, passing: str, filtered: str, modes: list[str]) -> None:
    events_filter = EventsFilter(config)
    assert [name for name in passing.split() if not events_filter.is_allowed(name)] == []
    assert [name for name in filtered.split() if events_filter.is_allowed(name)] == []
    assert events_filter.get_langgraph_stream_modes() == modes


def test_filters_have_the_originals_words() -> None:
    events_filter = EventsFilter(["token", "custom:mine"])
    assert events_filter.is_allowed("custom", "mine")
    assert not events_filter.is_allowed("custom", "other")
    assert events_filter.get_allowed_events() == {"started", "complete", "error", "cancelled", "token", "custom:mine"}
    assert events_filter.allows_tokens
    assert not (events_filter.allows_steps or events_filter.allows_progress or events_filter.allows_checkpoints)
    assert not (events_filter.allows_heartbeats or events_filter.allows_all_custom)
    assert events_filter.is_native_event_allowed("custom", "custom:mine")
    assert not events_filter.is_native_event_allowed("updates")
    assert repr(EventsFilter("chat")) == "EventsFilter('chat')"


@pytest.mark.parametrize("config", ["chatty", ["tokens"], ["custom:"], ["custom:a b"]])
def test_filters_refuse_unknown_words(config: Any) -> None:
    with pytest.raises(ValueError, match=r"unknown|match"):
        EventsFilter(config)


def test_filtered_events_are_checked_all_the_same() -> None:
    context = queued("minimal")
    assert context.sync_emit("mine", {"a": object()}) is False
    assert asyncio.run(context.emit_token("x")) is None
    with pytest.raises(ValueError, match="run_id"):
        context.sync_emit("mine", {"run_id": 1})
    with pytest.raises(TypeError, match="content is a int"):
        context.sync_emit_token(5)  # type: ignore[arg-type]


def test_what_the_server_says_cannot_be_emitted() -> None:
    context = queued()
    with pytest.raises(RuntimeError, match="the server says 'complete'"):
        asyncio.run(context.emit_complete({}))
    with pytest.raises(ValueError, match="server's own"):
        context.sync_emit("cancelled", {})
    assert context.sync_emit_heartbeat() is False
    assert (context.request_id, context.identity, context.is_cancelled) == (None, None, False)


def test_emit_of_a_builtin_type_is_checked_as_its_method() -> None:
    context = queued()
    assert context.sync_emit("progress", {"step": "s", "progress": "0.25", "more": 1})
    with pytest.raises(ValueError, match="no field 'content'"):
        context.sync_emit("token", {})
    with pytest.raises(TypeError, match="content is a int"):
        context.sync_emit("token", {"content": 1})
    (event,) = context.drain_queued_events()
    assert event.model_dump(include={"progress", "more"}) == {"progress": 0.25, "more": 1}


def test_agent_errors_are_checked_where_they_are_made() -> None:
    error = AgentError("text", "CODE_1", {"a": 1})
    assert (str(error), error.code, error.details) == ("text", "CODE_1", {"a": 1})
    with pytest.raises(ValueError, match="code"):
        AgentError("text", "lower")
    assert not issubclass(RunCancelled, Exception)


@pytest.mark.parametrize(
    ("value", "text"),
    [
        ({"a": "\n\x01é"}, '{"a":"\\n\\u0001é"}'),
        ({1: True, None: 2, False: 3}, '{"1":true,"None":2,"False":3}'),
        ({"a": (1, [2.5])}, '{"a":[1,[2.5]]}'),
        ({"a": "\ud800\\\udfff"}, '{"a":"\\ud800\\\\\\udfff"}'),
        ({"a": {3, 20, 1}}, '{"a":[1,20,3]}'),
    ],
)
def test_conversion(value: Any, text: str) -> None:
    assert encode(value).decode() == text


def test_what_lies_too_deep_is_replaced() -> None:
    value: Any = "bottom"
    for _ in range(50):
        value = [value]
    assert is_plain(value)
    assert "bottom" in encode(value).decode()
    assert encode([value]).decode() == "[" * 51 + '"<max depth 50 exceeded>"' + "]" * 51


def test_a_circle_ends() -> None:
    circle: dict[str, Any] = {}
    circle["again"] = circle
    assert b"max depth 50" in encode(circle)


@pytest.mark.parametrize("number", [float("nan"), float("inf"), float("-inf")])
def test_what_json_cannot_hold_is_named(number: float) -> None:
    @dataclasses.dataclass
    class Point:
        x: float

    with pytest.raises(ValueError, match=r"a\.b\[1\]\.x is "):
        to_plain({"a": {"b": [0, Point(number)]}})
    with pytest.raises(ValueError, match=r"^a\.b\[1\] is "):
        to_plain({"a": {"b": [0, number]}})
