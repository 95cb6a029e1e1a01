"""The context of a run: what an agent emits with."""

from __future__ import annotations

import contextlib
import dataclasses
from collections import deque
from collections.abc import Iterable, Iterator, Mapping
from contextvars import ContextVar
from typing import Any, NoReturn

from .conversion import to_plain
from .filter import EventsFilter
from .models import BaseEvent, event_class
from .words import KINDS, RESERVED_FIELDS, check_custom_name

current_context: ContextVar[StreamContext | None] = ContextVar("dockrion_context", default=None)


def get_current_context() -> StreamContext | None:
    """The run's context in its handler, its tasks, its executor's threads and its graph's nodes; None outside a run."""
    return current_context.get()


def set_current_context(context: StreamContext | None) -> None:
    """Makes `context` what `get_current_context` returns from here on, in this task or thread."""
    current_context.set(context)


@contextlib.contextmanager
def context_scope(context: StreamContext | None) -> Iterator[None]:
    """`with context_scope(context):` as `set_current_context`, until the block ends."""
    token = current_context.set(context)
    try:
        yield
    finally:
        current_context.reset(token)


@dataclasses.dataclass(frozen=True)
class Identity:
    """Who started the run, as the server has found out. Never a credential."""

    subject: str
    tenant: str | None = None
    roles: tuple[str, ...] = ()
    permissions: tuple[str, ...] = ()
    expires_at: str | None = None


class StreamContext:
    """Emits events of one run.

    The server makes one for each run. In an agent's own tests:

        context = StreamContext("run", queue_mode=True)
        with context_scope(context):
            handler({"text": "Hi"})
        assert [event.type for event in context.drain_queued_events()] == ["token"]

    `sync_…` methods return whether the event passed the filter, `await`ed ones the event or None. A wrong type is a
    `TypeError`, a wrong value a `ValueError`, also where the event is filtered.
    """

    def __init__(
        self,
        run_id: str,
        bus: Any = None,
        agent_name: str | None = None,
        framework: str | None = None,
        queue_mode: bool = False,
        events_filter: EventsFilter | None = None,
        streaming_backend: Any = None,
    ) -> None:
        if not queue_mode:
            raise ValueError("queue_mode is False: outside the server a context can only keep its events")
        _check("run_id", run_id, str)
        if events_filter is not None:
            _check("events_filter", events_filter, EventsFilter)
        self._run_id = run_id
        self._agent_name = agent_name
        self._framework = framework
        self._events_filter = events_filter
        self._queue: deque[BaseEvent] = deque()

    @property
    def run_id(self) -> str:
        """The id that the client sees."""
        return self._run_id

    @property
    def request_id(self) -> str | None:
        """The request's id on `/invoke` and `/invoke/stream`, where it is `run_id` too; None behind `/runs`."""
        return None

    @property
    def identity(self) -> Identity | None:
        """Who started the run; None where the server asks nobody."""
        return None

    @property
    def is_cancelled(self) -> bool:
        """Whether the run was cancelled or its time is over: end soon."""
        return False

    @property
    def events_filter(self) -> EventsFilter | None:
        return self._events_filter

    @property
    def queue_mode(self) -> bool:
        """Whether events are kept here, for `drain_queued_events`."""
        return True

    @property
    def streaming_backend(self) -> None:
        return None

    # What is kept in queue mode.

    def drain_queued_events(self) -> list[BaseEvent]:
        """What was emitted since the last call, in order."""
        events: list[BaseEvent] = []
        while self._queue:
            events.append(self._queue.popleft())
        return events

    def has_queued_events(self) -> bool:
        return bool(self._queue)

    def queue_size(self) -> int:
        return len(self._queue)

    # Emits that do not await: from threads, and from `async` code where little is emitted.

    def sync_emit_progress(self, step: str, progress: float | str, message: str | None = None) -> bool:
        return self._send("progress", _progress(step, progress, message))

    def sync_checkpoint(self, name: str, data: dict[str, Any]) -> bool:
        return self._send("checkpoint", _checkpoint(name, data))

    def sync_emit_token(self, content: str, finish_reason: str | None = None) -> bool:
        return self._send("token", _token(content, finish_reason))

    def sync_emit_step(
        self,
        node_name: str,
        duration_ms: float | None = None,
        input_keys: Iterable[str] | None = None,
        output_keys: Iterable[str] | None = None,
    ) -> bool:
        return self._send("step", _step(node_name, duration_ms, input_keys, output_keys))

    def sync_emit(self, event_type: str, data: dict[str, Any]) -> bool:
        return self._send(event_type, _fields(event_type, data))

    def sync_emit_heartbeat(self) -> bool:
        """False: heartbeats are of connections."""
        return False

    # Emits that wait where the client is slower than the agent.

    async def emit_progress(self, step: str, progress: float | str, message: str | None = None) -> BaseEvent | None:
        return await self._send_async("progress", _progress(step, progress, message))

    async def checkpoint(self, name: str, data: dict[str, Any]) -> BaseEvent | None:
        return await self._send_async("checkpoint", _checkpoint(name, data))

    async def emit_token(self, content: str, finish_reason: str | None = None) -> BaseEvent | None:
        return await self._send_async("token", _token(content, finish_reason))

    async def emit_step(
        self,
        node_name: str,
        duration_ms: float | None = None,
        input_keys: Iterable[str] | None = None,
        output_keys: Iterable[str] | None = None,
    ) -> BaseEvent | None:
        return await self._send_async("step", _step(node_name, duration_ms, input_keys, output_keys))

    async def emit(self, event_type: str, data: dict[str, Any]) -> BaseEvent | None:
        return await self._send_async(event_type, _fields(event_type, data))

    async def emit_heartbeat(self) -> None:
        """None: heartbeats are of connections."""

    # What the server says.

    async def emit_started(self, agent_name: str | None = None, framework: str | None = None) -> NoReturn:
        _refuse("started")

    async def emit_complete(
        self, output: dict[str, Any], latency_seconds: float | None = None, metadata: dict[str, Any] | None = None
    ) -> NoReturn:
        _refuse("complete")

    async def emit_error(
        self, error: str, code: str = "AGENT_ERROR", details: dict[str, Any] | None = None
    ) -> NoReturn:
        _refuse("error")

    async def emit_cancelled(self, reason: str | None = None) -> NoReturn:
        _refuse("cancelled")

    # How an event leaves; the server's contexts do otherwise.

    def _send(self, event_type: str, fields: dict[str, Any]) -> bool:
        return self._keep(event_type, fields) is not None

    async def _send_async(self, event_type: str, fields: dict[str, Any]) -> BaseEvent | None:
        return self._keep(event_type, fields)

    def _keep(self, event_type: str, fields: dict[str, Any]) -> BaseEvent | None:
        if self._events_filter is not None and not self._events_filter.is_allowed(event_type):
            return None
        event = make_event(event_type, self._run_id, to_plain(fields))
        self._queue.append(event)
        return event

    def __repr__(self) -> str:
        return f"{type(self).__name__}({self._run_id!r})"


def make_event(event_type: str, run_id: str, fields: Mapping[str, Any]) -> BaseEvent:
    """The event of fields that were checked here."""
    whole: dict[str, Any] = {"type": event_type, "run_id": run_id, "sequence": 0}
    cls = event_class(event_type)
    for name, (_types, default) in cls._FIELDS.items():
        whole[name] = default() if callable(default) else default
    whole.update(fields)
    return cls._quick(whole)


def _refuse(event_type: str) -> NoReturn:
    raise RuntimeError(f"the server says {event_type!r}: return the output, or raise")


# Checks of what is emitted. Each gives the event's fields in the order in which they go out.


def _check(name: str, value: Any, kind: type) -> None:
    if not isinstance(value, kind):
        raise TypeError(f"{name} is a {type(value).__name__}, not a {kind.__name__}")


def _check_text(name: str, value: Any) -> None:
    if value is not None and not isinstance(value, str):
        raise TypeError(f"{name} is a {type(value).__name__}, not a str or None")


def _token(content: str, finish_reason: str | None) -> dict[str, Any]:
    _check("content", content, str)
    _check_text("finish_reason", finish_reason)
    return {"content": content} if finish_reason is None else {"content": content, "finish_reason": finish_reason}


def _progress(step: str, progress: float | str, message: str | None) -> dict[str, Any]:
    _check("step", step, str)
    _check_text("message", message)
    fields = {"step": step, "progress": _clamp("progress", progress)}
    if message is not None:
        fields["message"] = message
    return fields


def _number(name: str, value: Any) -> float:
    if not isinstance(value, (int, float, str)) and not hasattr(type(value), "__float__"):
        raise TypeError(f"{name} is a {type(value).__name__}, not a number or its text")
    try:
        number = float(value)
    except (ValueError, OverflowError):
        raise ValueError(f"{name} is {value!r}, not a number") from None
    if number != number:
        raise ValueError(f"{name} is {number!r}, which JSON cannot hold")
    return number


def _clamp(name: str, value: Any) -> float:
    return min(1.0, max(0.0, _number(name, value)))


def _checkpoint(name: str, data: dict[str, Any]) -> dict[str, Any]:
    _check("name", name, str)
    _check("data", data, dict)
    return {"name": name, "data": data}


def _step(
    node_name: str,
    duration_ms: float | None,
    input_keys: Iterable[str] | None,
    output_keys: Iterable[str] | None,
) -> dict[str, Any]:
    _check("node_name", node_name, str)
    fields: dict[str, Any] = {"node_name": node_name}
    if duration_ms is not None:
        if isinstance(duration_ms, str):
            raise TypeError("duration_ms is a str, not a number or None")
        number = _number("duration_ms", duration_ms)
        if number < 0 or number == float("inf"):
            raise ValueError(f"duration_ms is {number!r}, not a number of milliseconds")
        fields["duration_ms"] = round(number)
    fields["input_keys"] = _keys("input_keys", input_keys)
    fields["output_keys"] = _keys("output_keys", output_keys)
    return fields


def _keys(name: str, value: Iterable[str] | None) -> list[str]:
    if value is None:
        return []
    if isinstance(value, (str, bytes)) or not isinstance(value, Iterable):
        raise TypeError(f"{name} is a {type(value).__name__}, not a list of str")
    keys = list(value)
    for key in keys:
        if not isinstance(key, str):
            raise TypeError(f"{name} holds a {type(key).__name__}, not a str")
    return keys


_NEEDED: dict[str, tuple[str, ...]] = {
    "token": ("content",),
    "step": ("node_name",),
    "progress": ("step", "progress"),
    "checkpoint": ("name", "data"),
}
_OPTIONAL: dict[str, tuple[str, ...]] = {
    "token": ("finish_reason",),
    "step": ("duration_ms", "input_keys", "output_keys"),
    "progress": ("message",),
    "checkpoint": (),
}
_CHECKS: dict[str, Any] = {"token": _token, "step": _step, "progress": _progress, "checkpoint": _checkpoint}


def _fields(event_type: str, data: dict[str, Any]) -> dict[str, Any]:
    """The fields of `emit(event_type, data)`."""
    _check("event_type", event_type, str)
    _check("data", data, dict)
    if event_type not in KINDS:
        check_custom_name(event_type)
    for key in data:
        if key in RESERVED_FIELDS or (not isinstance(key, str) and str(key) in RESERVED_FIELDS):
            raise ValueError(f"data has the field {str(key)!r}, which every event has already")
    if event_type not in KINDS:
        return data
    needed, optional = _NEEDED[event_type], _OPTIONAL[event_type]
    for name in needed:
        if name not in data:
            raise ValueError(f"data has no field {name!r}, which {event_type} needs")
    arguments = [data[name] for name in needed] + [data.get(name) for name in optional]
    fields: dict[str, Any] = _CHECKS[event_type](*arguments)
    for key, value in data.items():
        if key not in needed and key not in optional:
            fields[key] = value
    return fields
