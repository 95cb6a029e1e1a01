"""What a worker runs: one kind of agent each, all behind `Agent`."""

from __future__ import annotations

import inspect
from collections.abc import AsyncIterable, Iterable, Mapping
from contextlib import aclosing
from typing import Any, Protocol

from dockrion_events.context import _fields

from .calling import Caller
from .messages import is_message, text_of
from .run import RunContext


class InvalidOutput(Exception):
    """The agent has returned what is no output."""


class InvalidPayload(Exception):
    """The payload is no envelope that a graph takes."""


class Agent(Protocol):
    kind: str
    #: Whether `run_async` is a task of the event loop; else `run_sync` takes a thread.
    is_async: bool
    in_memory_checkpointer: bool
    #: What was imported, for its type's name.
    subject: Any

    def prepare(self, payload: dict[str, Any], properties: Iterable[str]) -> Any:
        """The payload with those properties of `io_schema.input` that the client left out."""

    def run_sync(self, payload: Any, context: RunContext) -> Any:
        """The output, or something awaitable, or a generator of either kind, for `finish`."""

    async def run_async(self, payload: Any, context: RunContext) -> Any: ...


def fill(payload: dict[str, Any], properties: Iterable[str]) -> dict[str, Any]:
    for name in properties:
        if name not in payload:
            payload[name] = None
    return payload


def emit_fields(context: RunContext, event: Mapping[Any, Any]) -> tuple[str, dict[str, Any]]:
    """Type and fields of an event that was yielded as a dict with a `type`."""
    fields = dict(event)
    event_type = fields.pop("type")
    if not isinstance(event_type, str):
        raise TypeError(f"the yielded event's type is a {type(event_type).__name__}, not a str")
    return event_type, _fields(event_type, fields)


class Pieces:
    """What a generator yields: texts are tokens, dicts with a `type` events; a last dict without one is the output."""

    def __init__(self, context: RunContext) -> None:
        self._context = context
        self._tokens: list[str] = []
        self._output: dict[str, Any] | None = None

    def _take(self, piece: Any) -> tuple[str, dict[str, Any]] | None:
        self._output = None
        if isinstance(piece, str):
            self._tokens.append(piece)
            return "token", {"content": piece}
        if isinstance(piece, Mapping):
            if "type" in piece:
                event_type, fields = emit_fields(self._context, piece)
                if event_type == "token":
                    self._tokens.append(fields["content"])
                return event_type, fields
            self._output = dict(piece)
            return None
        if is_message(piece):
            text = text_of(piece)
            self._tokens.append(text)
            return ("token", {"content": text}) if text else None
        raise TypeError(f"the agent yielded a {type(piece).__name__}: str is a token, dict an event or the output")

    def run(self, pieces: Iterable[Any]) -> dict[str, Any]:
        iterator = iter(pieces)
        while True:
            try:
                piece = next(iterator)
            except StopIteration as end:
                # `return {…}` of a generator.
                if isinstance(end.value, Mapping):
                    self._output = dict(end.value)
                return self.output
            event = self._take(piece)
            if event is not None:
                self._context._send(*event)

    async def run_async(self, pieces: AsyncIterable[Any]) -> dict[str, Any]:
        close = getattr(pieces, "aclose", None)
        if close is None:
            return await self._iterate(pieces)
        async with aclosing(pieces):  # type: ignore[type-var]
            return await self._iterate(pieces)

    async def _iterate(self, pieces: AsyncIterable[Any]) -> dict[str, Any]:
        async for piece in pieces:
            event = self._take(piece)
            if event is not None:
                await self._context._send_async(*event)
        return self.output

    @property
    def output(self) -> dict[str, Any]:
        return {"text": "".join(self._tokens)} if self._output is None else self._output


async def finish(result: Any, context: RunContext) -> Any:
    """The output behind what a call has returned."""
    if inspect.isawaitable(result):
        result = await result
    if hasattr(result, "__aiter__"):
        return await Pieces(context).run_async(result)
    if inspect.isgenerator(result):
        return await context.call_in_thread(lambda: Pieces(context).run(result))
    return result


def needs_loop(result: Any) -> bool:
    return inspect.isawaitable(result) or hasattr(result, "__aiter__")


def _is_function_of(test: Any, function: Any) -> bool:
    return bool(test(function) or test(getattr(function, "__call__", None)))  # noqa: B004


class Handler:
    """A function of the payload."""

    in_memory_checkpointer = False

    def __init__(self, function: Any, kind: str = "handler") -> None:
        self.kind = kind
        self.subject = function
        self._call = Caller(function)
        self.is_async = _is_function_of(inspect.iscoroutinefunction, function) or _is_function_of(
            inspect.isasyncgenfunction, function
        )

    def prepare(self, payload: dict[str, Any], properties: Iterable[str]) -> Any:
        return fill(payload, properties)

    def run_sync(self, payload: Any, context: RunContext) -> Any:
        result = self._call(payload, context)
        return Pieces(context).run(result) if inspect.isgenerator(result) else result

    async def run_async(self, payload: Any, context: RunContext) -> Any:
        return await finish(self._call(payload, context), context)


_FOR_STREAMS = ("astream", "stream", "ainvoke", "invoke")
_FOR_INVOKE = ("ainvoke", "invoke", "astream", "stream")
METHODS = _FOR_STREAMS


class CustomObject:
    """An object with `ainvoke`, `invoke`, `astream` or `stream`."""

    in_memory_checkpointer = False

    def __init__(self, subject: Any) -> None:
        self.kind = "custom"
        self.subject = subject
        self._stream = self._first(_FOR_STREAMS)
        self._invoke = self._first(_FOR_INVOKE)
        self.is_async = any(name.startswith("a") for name in (self._stream[0], self._invoke[0]))

    def _first(self, names: Iterable[str]) -> tuple[str, Caller]:
        for name in names:
            method = getattr(self.subject, name, None)
            if callable(method):
                return name, Caller(method)
        raise AttributeError(f"none of {', '.join(names)}")

    def prepare(self, payload: dict[str, Any], properties: Iterable[str]) -> Any:
        return fill(payload, properties)

    def _choose(self, context: RunContext) -> tuple[str, Caller]:
        return self._invoke if context.mode == "invoke" else self._stream

    def run_sync(self, payload: Any, context: RunContext) -> Any:
        name, call = self._choose(context)
        result = call(payload, context)
        if inspect.isgenerator(result):
            return Pieces(context).run(result)
        is_stream = name == "stream" and isinstance(result, Iterable) and not isinstance(result, (Mapping, str))
        return Pieces(context).run(result) if is_stream else result

    async def run_async(self, payload: Any, context: RunContext) -> Any:
        name, call = self._choose(context)
        if not name.startswith("a"):
            result = await context.call_in_thread(lambda: self.run_sync(payload, context))
            return await finish(result, context)
        return await finish(call(payload, context), context)
