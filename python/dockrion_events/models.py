"""The events as objects: what emits return, and what an agent's tests look at."""

from __future__ import annotations

import json
import time
import uuid
from collections.abc import Callable, Mapping
from datetime import datetime, timezone
from typing import Any, ClassVar, Union

from .conversion import to_plain


class _Lazy:
    """A field that is made at its first look: a token costs no UUID unless somebody asks for it."""

    def __init__(self, make: Callable[[Any], Any]) -> None:
        self.make = make

    def __set_name__(self, owner: type, name: str) -> None:
        self.name = name

    def __get__(self, instance: Any, owner: type) -> Any:
        if instance is None:
            return self
        value = self.make(instance)
        instance.__dict__[self.name] = value
        return value


def _make_id(_event: Any) -> str:
    return f"evt-{uuid.uuid4().hex[:12]}"


def _make_timestamp(event: Any) -> datetime:
    return datetime.fromtimestamp(event._born, timezone.utc)


class BaseEvent:
    """An event: `type`, `run_id`, `sequence`, `timestamp`, `id`, and its own fields. Further fields are kept.

    A missing field is a `ValueError`, one of a wrong type a `TypeError`. `sequence` is 0: the server numbers.
    """

    #: The type that a class stands for; None: any.
    _TYPE: ClassVar[str | None] = None
    #: Its fields in order: type, and the default, or `...` where it is needed.
    _FIELDS: ClassVar[dict[str, tuple[tuple[type, ...], Any]]] = {}
    _COMMON: ClassVar[tuple[str, ...]] = ("id", "type", "run_id", "sequence", "timestamp")

    type: str
    run_id: str
    sequence: int
    id: str = _Lazy(_make_id)  # type: ignore[assignment]
    timestamp: datetime = _Lazy(_make_timestamp)  # type: ignore[assignment]
    _born: float

    def __init__(self, **fields: Any) -> None:
        values = self.__dict__
        own = type(self).__name__
        kind = fields.pop("type", self._TYPE)
        if kind is None:
            raise ValueError(f"{own}: type is missing")
        _check(own, "type", kind, (str,))
        if self._TYPE is not None and kind != self._TYPE:
            raise ValueError(f"{own}: type is {kind!r}, not {self._TYPE!r}")
        values["_born"] = time.time()
        values["type"] = kind
        if "run_id" not in fields:
            raise ValueError(f"{own}: run_id is missing")
        values["run_id"] = _check(own, "run_id", fields.pop("run_id"), (str,))
        values["sequence"] = _check(own, "sequence", fields.pop("sequence", 0), (int,))
        if "id" in fields:
            values["id"] = _check(own, "id", fields.pop("id"), (str,))
        if "timestamp" in fields:
            values["timestamp"] = _read_timestamp(own, fields.pop("timestamp"))
        for name, (types, default) in self._FIELDS.items():
            if name in fields:
                values[name] = _check(own, name, fields.pop(name), types)
            elif default is ...:
                raise ValueError(f"{own}: {name} is missing")
            else:
                values[name] = default() if callable(default) else default
        for name, value in fields.items():
            values[name] = value

    def __setattr__(self, name: str, value: Any) -> None:
        if name == "type" and self._TYPE is not None:
            raise ValueError(f"{type(self).__name__}: type cannot be changed")
        self.__dict__[name] = value

    def model_dump(
        self,
        *,
        mode: str = "python",
        include: Any = None,
        exclude: Any = None,
        exclude_none: bool = False,
        **_other: Any,
    ) -> dict[str, Any]:
        """The fields in order; the timestamp as text. With `mode="json"`, all of it is what JSON can hold."""
        names = [*self._COMMON, *self._FIELDS]
        names += [name for name in self.__dict__ if name not in names and name != "_born"]
        fields: dict[str, Any] = {}
        for name in names:
            if (include is not None and name not in include) or (exclude is not None and name in exclude):
                continue
            value = getattr(self, name)
            if value is None and exclude_none:
                continue
            fields[name] = value.isoformat() if name == "timestamp" else value
        return to_plain(fields) if mode == "json" else fields

    def model_dump_json(self, *, indent: int | None = None, **options: Any) -> str:
        options["mode"] = "json"
        separators = None if indent is not None else (",", ":")
        return json.dumps(self.model_dump(**options), ensure_ascii=False, indent=indent, separators=separators)

    def to_dict(self) -> dict[str, Any]:
        return self.model_dump(mode="json")

    def to_sse(self) -> str:
        """The event as it stands in a stream of server-sent events."""
        return f"event: {self.type}\ndata: {self.model_dump_json()}\n\n"

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, BaseEvent):
            return NotImplemented
        return type(self) is type(other) and self.model_dump() == other.model_dump()

    __hash__ = None  # type: ignore[assignment]

    def __repr__(self) -> str:
        return f"{type(self).__name__}({', '.join(f'{name}={value!r}' for name, value in self.model_dump().items())})"

    @classmethod
    def _quick(cls, fields: dict[str, Any]) -> BaseEvent:
        """An event of fields that were checked already, which becomes its `__dict__`."""
        event = cls.__new__(cls)
        fields["_born"] = time.time()
        _set_fields(event, fields)
        return event


#: Gives an event its `__dict__` without a look at `__setattr__`.
_set_fields: Callable[[BaseEvent, dict[str, Any]], None] = BaseEvent.__dict__["__dict__"].__set__


def _check(owner: str, name: str, value: Any, types: tuple[type, ...]) -> Any:
    if not isinstance(value, types):
        wanted = " or ".join("None" if each is type(None) else each.__name__ for each in types)
        raise TypeError(f"{owner}: {name} is a {type(value).__name__}, not {wanted}")
    return value


def _read_timestamp(owner: str, value: Any) -> datetime:
    if isinstance(value, datetime):
        return value
    if isinstance(value, str):
        try:
            return datetime.fromisoformat(value[:-1] + "+00:00" if value.endswith("Z") else value)
        except ValueError:
            raise ValueError(f"{owner}: timestamp {value!r} is no ISO 8601 time") from None
    if isinstance(value, (int, float)) and not isinstance(value, bool):
        return datetime.fromtimestamp(value, timezone.utc)
    raise TypeError(f"{owner}: timestamp is a {type(value).__name__}, not datetime or str")


_TEXT = (str,)
_MAYBE_TEXT = (str, type(None))


class StartedEvent(BaseEvent):
    """The run began."""

    agent_name: str | None
    framework: str | None
    _TYPE = "started"
    _FIELDS = {"agent_name": (_MAYBE_TEXT, None), "framework": (_MAYBE_TEXT, None)}


class ProgressEvent(BaseEvent):
    """How far a step has come: `progress` from 0 to 1, clamped."""

    step: str
    progress: float
    message: str | None
    _TYPE = "progress"
    _FIELDS = {"step": (_TEXT, ...), "progress": ((int, float), 0.0), "message": (_MAYBE_TEXT, None)}

    def __init__(self, **fields: Any) -> None:
        super().__init__(**fields)
        self.progress = min(1.0, max(0.0, float(self.progress)))


class CheckpointEvent(BaseEvent):
    """A result on the way."""

    name: str
    data: dict[str, Any]
    _TYPE = "checkpoint"
    _FIELDS = {"name": (_TEXT, ...), "data": ((dict,), dict)}


class TokenEvent(BaseEvent):
    """A piece of a model's text."""

    content: str
    finish_reason: str | None
    _TYPE = "token"
    _FIELDS = {"content": (_TEXT, ...), "finish_reason": (_MAYBE_TEXT, None)}


class StepEvent(BaseEvent):
    """A node or step has ended."""

    node_name: str
    duration_ms: int | None
    input_keys: list[str]
    output_keys: list[str]
    _TYPE = "step"
    _FIELDS = {
        "node_name": (_TEXT, ...),
        "duration_ms": ((int, type(None)), None),
        "input_keys": ((list,), list),
        "output_keys": ((list,), list),
    }


class CompleteEvent(BaseEvent):
    """The run succeeded."""

    output: dict[str, Any]
    latency_seconds: float | None
    metadata: dict[str, Any]
    _TYPE = "complete"
    _FIELDS = {
        "output": ((dict,), dict),
        "latency_seconds": ((int, float, type(None)), None),
        "metadata": ((dict,), dict),
    }


class ErrorEvent(BaseEvent):
    """The run failed."""

    error: str
    code: str
    details: dict[str, Any] | None
    _TYPE = "error"
    _FIELDS = {"error": (_TEXT, ...), "code": (_TEXT, "INTERNAL_ERROR"), "details": ((dict, type(None)), None)}


class HeartbeatEvent(BaseEvent):
    """A silent connection lives."""

    _TYPE = "heartbeat"


class CancelledEvent(BaseEvent):
    """The run was cancelled."""

    reason: str | None
    _TYPE = "cancelled"
    _FIELDS = {"reason": (_MAYBE_TEXT, None)}


StreamEvent = Union[  # noqa: UP007
    StartedEvent,
    ProgressEvent,
    CheckpointEvent,
    TokenEvent,
    StepEvent,
    CompleteEvent,
    ErrorEvent,
    HeartbeatEvent,
    CancelledEvent,
]

TERMINAL_EVENT_TYPES = frozenset({"complete", "error", "cancelled"})

_CLASSES: dict[str, type[BaseEvent]] = {
    "started": StartedEvent,
    "progress": ProgressEvent,
    "checkpoint": CheckpointEvent,
    "token": TokenEvent,
    "step": StepEvent,
    "complete": CompleteEvent,
    "error": ErrorEvent,
    "heartbeat": HeartbeatEvent,
    "cancelled": CancelledEvent,
}


def event_class(event_type: str) -> type[BaseEvent]:
    """The class of a type; `BaseEvent` for custom events."""
    return _CLASSES.get(event_type, BaseEvent)


def is_terminal_event(event: BaseEvent) -> bool:
    """Whether a run ends with this event."""
    return event.type in TERMINAL_EVENT_TYPES


def parse_event(data: Mapping[str, Any]) -> BaseEvent:
    """The event of an object as `to_dict` makes it. `ValueError` without a `type`."""
    kind = data.get("type")
    if not kind:
        raise ValueError("the event has no type")
    return event_class(kind)(**data)


def create_event(event_type: str, run_id: str, sequence: int = 0, **fields: Any) -> BaseEvent:
    """An event of the class that its type has."""
    return event_class(event_type)(type=event_type, run_id=run_id, sequence=sequence, **fields)
