"""LangGraph graphs: one pass over `astream`, whose items become events."""

from __future__ import annotations

import inspect
import logging
import sys
import time
from collections.abc import Callable, Iterable, Mapping
from contextlib import aclosing
from typing import Any

from dockrion_events.context import _fields

from .agents import InvalidPayload, Pieces, fill, finish, needs_loop
from .calling import keywords_taken
from .messages import Event, MessageEvents, is_message, text_of
from .run import RunContext

_logger = logging.getLogger("dockrion.worker")

_ENVELOPE = frozenset({"input", "config", "command"})
_CONFIG = frozenset({"configurable", "recursion_limit", "tags", "metadata"})
_COMMAND = frozenset({"resume", "update", "goto"})
_INTERRUPT = "__interrupt__"


def is_envelope(payload: Mapping[str, Any], input_is_state: bool) -> bool:
    """Whether a payload is `{input, config, command}` and not the input itself."""
    if not payload or not payload.keys() <= _ENVELOPE:
        return False
    return "config" in payload or "command" in payload or not input_is_state


def check_config(config: Any) -> dict[str, Any]:
    if config is None:
        return {}
    if not isinstance(config, dict):
        raise InvalidPayload(f"config is a {type(config).__name__}, not an object")
    for key in config:
        if key not in _CONFIG:
            raise InvalidPayload(f"config has {key!r}: it may have {', '.join(sorted(_CONFIG))}")
    configurable = config.get("configurable")
    if configurable is not None and not isinstance(configurable, dict):
        raise InvalidPayload(f"config.configurable is a {type(configurable).__name__}, not an object")
    for key in configurable or ():
        if key.startswith("__"):
            raise InvalidPayload(f"config.configurable has {key!r}: names that begin with __ are LangGraph's own")
    return dict(config)


def make_config(config: dict[str, Any], context: RunContext, needs_thread: bool) -> dict[str, Any]:
    """The client's config with what a run adds to it."""
    configurable = dict(config.get("configurable") or {})
    configurable["stream_context"] = context
    configurable.setdefault("run_id", context.run_id)
    if context.conversation_id is not None:
        configurable.setdefault("thread_id", context.conversation_id)
    elif needs_thread:
        configurable.setdefault("thread_id", context.run_id)
    return {**{key: value for key, value in config.items() if value is not None}, "configurable": configurable}


class GraphStream:
    """What comes out of one run of a graph."""

    def __init__(self, graph: Any, context: RunContext) -> None:
        self._graph = graph
        self._context = context
        self._messages = MessageEvents()
        self._begun = time.monotonic()
        #: When the superstep of a namespace began: with the values that the last one has left.
        self._steps: dict[tuple[str, ...], float] = {}
        self._interrupts: dict[Any, dict[str, Any]] = {}
        self._values: Any = None

    def take(self, namespace: tuple[str, ...], mode: str, data: Any) -> Iterable[Event]:
        if mode == "messages":
            message, metadata = data
            return self._messages.of(message, metadata or {})
        if mode == "updates":
            return self._update(namespace, data)
        if mode == "custom":
            return [written_event(data)]
        if mode == "values":
            self._steps[namespace] = time.monotonic()
            if not namespace:
                self._take_values(data)
        return []

    def _take_values(self, data: Any) -> None:
        if isinstance(data, Mapping) and _INTERRUPT in data:
            for each in data[_INTERRUPT] or ():
                self._note_interrupt(each)
            data = {key: value for key, value in data.items() if key != _INTERRUPT}
            if not data and self._values is not None:
                return
        self._values = data

    def _note_interrupt(self, interrupt: Any) -> tuple[bool, dict[str, Any]]:
        """Whether it is new: an interrupt of a subgraph is one of its parent, too."""
        shown = {"value": getattr(interrupt, "value", interrupt), "id": _interrupt_id(interrupt)}
        key = shown["id"] if shown["id"] is not None else id(interrupt)
        new = key not in self._interrupts
        self._interrupts.setdefault(key, shown)
        return new, shown

    def _update(self, namespace: tuple[str, ...], data: Any) -> Iterable[Event]:
        if not isinstance(data, Mapping):
            return
        for node, output in data.items():
            if node == _INTERRUPT:
                for each in output or ():
                    new, shown = self._note_interrupt(each)
                    if new:
                        yield "checkpoint", {"name": "interrupt", "data": shown}
            elif not str(node).startswith("__"):
                parents = [part.split(":", 1)[0] for part in namespace]
                began = self._steps.get(namespace, self._begun)
                yield (
                    "step",
                    {
                        "node_name": ":".join([*parents, str(node)]),
                        "duration_ms": round((time.monotonic() - began) * 1000),
                        "input_keys": [],
                        "output_keys": _output_keys(output),
                    },
                )

    def output(self) -> Any:
        """What `ainvoke` returns."""
        values = self._values
        channels = getattr(self._graph, "output_channels", None)
        streamed = getattr(self._graph, "stream_channels_asis", None)
        if isinstance(values, Mapping) and not isinstance(streamed, str):
            if isinstance(channels, str):
                values = values.get(channels)
            elif channels is not None:
                values = {key: value for key, value in values.items() if key in channels}
        output = as_output(values)
        if self._interrupts:
            output = {**output} if isinstance(output, dict) else {}
            output[_INTERRUPT] = list(self._interrupts.values())
        return output


def as_output(value: Any) -> Any:
    """Text and messages as `{"text": …}`, nothing as `{}`; objects stay."""
    if value is None:
        return {}
    if isinstance(value, str):
        return {"text": value}
    if is_message(value):
        return {"text": text_of(value)}
    if isinstance(value, Mapping):
        return dict(value)
    return value


def _interrupt_id(interrupt: Any) -> str | None:
    found = getattr(interrupt, "id", None) or getattr(interrupt, "interrupt_id", None)
    return found if isinstance(found, str) else None


def _output_keys(output: Any) -> list[str]:
    """Keys of what a node wrote; of several writes, each key once."""
    if isinstance(output, Mapping):
        return [str(key) for key in output]
    if isinstance(output, (list, tuple)):
        return list(dict.fromkeys(str(key) for each in output if isinstance(each, Mapping) for key in each))
    return []


def written_event(data: Any) -> Event:
    """The event of what a node gave to its stream writer."""
    if isinstance(data, tuple) and len(data) == 2 and isinstance(data[0], str) and isinstance(data[1], dict):
        return data[0], _fields(data[0], data[1])
    if isinstance(data, Mapping) and isinstance(data.get("type"), str):
        fields = {key: value for key, value in data.items() if key != "type"}
        return data["type"], _fields(data["type"], fields)
    return "custom", {"value": data}


class Graph:
    """A compiled graph."""

    kind = "langgraph"
    is_async = True

    def __init__(self, graph: Any) -> None:
        self.subject = graph
        self._checkpointer = getattr(graph, "checkpointer", None)
        if isinstance(self._checkpointer, bool):
            self._checkpointer = None
        self.in_memory_checkpointer = _is_in_memory(self._checkpointer)
        channels = getattr(graph, "channels", None) or {}
        self._input_is_state = "input" in channels
        self._fillable = _fillable(graph, channels)
        #: The checkpointer has no async methods: the graph runs in a thread.
        self._in_thread = False

    def prepare(self, payload: dict[str, Any], properties: Iterable[str]) -> Any:
        names = [name for name in properties if name in self._fillable]
        if not is_envelope(payload, self._input_is_state):
            return {"input": fill(payload, names)}
        inner = payload.get("input")
        if isinstance(inner, dict) and ("config" in payload or "command" in payload):
            fill(inner, names)
        return payload

    def run_sync(self, payload: Any, context: RunContext) -> Any:
        raise NotImplementedError

    async def run_async(self, payload: Any, context: RunContext) -> Any:
        data = payload.get("input")
        if payload.get("command") is not None:
            if data is not None:
                raise InvalidPayload("input and command exclude each other")
            data = _command(payload["command"])
        config = make_config(check_config(payload.get("config")), context, self._checkpointer is not None)
        modes = _modes(context)
        if self._in_thread:
            return await context.call_in_thread(lambda: self._stream_in_thread(data, config, modes, context))
        begun = False
        stream = GraphStream(self.subject, context)
        try:
            items = self.subject.astream(data, config, stream_mode=modes, subgraphs=True)
            async with aclosing(items):
                async for namespace, mode, item in items:
                    begun = True
                    for event_type, fields in stream.take(namespace, mode, item):
                        await context._send_async(event_type, fields)
            return stream.output()
        except NotImplementedError:
            if begun or self._checkpointer is None:
                raise
        self._in_thread = True
        _logger.info("%s has no async methods: the graph runs in threads", type(self._checkpointer).__name__)
        return await context.call_in_thread(lambda: self._stream_in_thread(data, config, modes, context))

    def _stream_in_thread(self, data: Any, config: dict[str, Any], modes: list[str], context: RunContext) -> Any:
        stream = GraphStream(self.subject, context)
        for namespace, mode, item in self.subject.stream(data, config, stream_mode=modes, subgraphs=True):
            for event_type, fields in stream.take(namespace, mode, item):
                context._send(event_type, fields)
        return stream.output()


def _modes(context: RunContext) -> list[str]:
    events_filter = context.events_filter
    if context.mode == "invoke" or events_filter is None:
        # Releases of LangGraph before 1.0 say interrupts among the updates only; `ainvoke` asks for both, too.
        return ["values", "updates"]
    modes = events_filter.get_langgraph_stream_modes()
    return list(dict.fromkeys(["values", *modes, "updates"]))


def _command(command: Any) -> Any:
    if not isinstance(command, dict) or not command:
        raise InvalidPayload("command is no object with resume, update or goto")
    for key in command:
        if key not in _COMMAND:
            raise InvalidPayload(f"command has {key!r}: it may have {', '.join(sorted(_COMMAND))}")
    from langgraph.types import Command

    return Command(**command)


def _is_in_memory(checkpointer: Any) -> bool:
    module = sys.modules.get("langgraph.checkpoint.memory")
    kinds = [getattr(module, name, None) for name in ("InMemorySaver", "MemorySaver")]
    return any(isinstance(kind, type) and isinstance(checkpointer, kind) for kind in kinds)


def _fillable(graph: Any, channels: Mapping[str, Any]) -> frozenset[str]:
    """Keys of the state that may be None: a reducer would get it as an operand, a model would refuse it."""
    builder = getattr(graph, "builder", None)
    schema = getattr(builder, "input_schema", None) or getattr(builder, "schema", None)
    if schema is not None and not hasattr(schema, "__total__"):
        return frozenset()
    return frozenset(name for name, channel in channels.items() if type(channel).__name__ == "LastValue")


def is_graph(value: Any) -> bool:
    """Whether `value.astream` is a graph's: it takes `stream_mode`."""
    method = getattr(value, "astream", None)
    if not callable(method):
        return False
    try:
        names = inspect.signature(method).parameters.keys()
    except (TypeError, ValueError):
        return False
    return {"stream_mode", "subgraphs"} <= names


class StreamObject:
    """An object for `framework: langgraph` that is no compiled graph: called as one, as far as it takes that."""

    kind = "langgraph"
    is_async = False
    in_memory_checkpointer = False

    def __init__(self, subject: Any) -> None:
        self.subject = subject

    def prepare(self, payload: dict[str, Any], properties: Iterable[str]) -> Any:
        return fill(payload, properties)

    def run_sync(self, payload: Any, context: RunContext) -> Any:
        stream = getattr(self.subject, "stream", None)
        streams = callable(stream) and (context.mode != "invoke" or not callable(getattr(self.subject, "invoke", None)))
        if not streams:
            return self._call(self.subject.invoke, payload, context, [])
        modes = list(dict.fromkeys(_modes(context)))
        assert stream is not None
        result = self._call(stream, payload, context, modes)
        return result if needs_loop(result) else self._take_all(result, context)

    async def run_async(self, payload: Any, context: RunContext) -> Any:
        return await finish(await context.call_in_thread(lambda: self.run_sync(payload, context)), context)

    def _call(self, method: Callable[..., Any], payload: Any, context: RunContext, modes: list[str]) -> Any:
        options: dict[str, Any] = {"config": {"stream_context": context}}
        if modes:
            options["stream_mode"] = modes
        taken = keywords_taken(method)
        return method(payload, **{name: value for name, value in options.items() if taken is None or name in taken})

    def _take_all(self, items: Iterable[Any], context: RunContext) -> Any:
        stream = GraphStream(self.subject, context)
        stream.take((), "values", None)
        last: Any = {}
        values: Any = None
        for item in items:
            if isinstance(item, tuple) and len(item) == 2 and isinstance(item[0], str):
                mode, data = item
            elif isinstance(item, Mapping):
                mode, data = "updates", item
            else:
                Pieces(context).run([item])
                continue
            if mode == "values":
                values = data
                continue
            if mode == "updates" and isinstance(data, Mapping):
                outputs = [output for node, output in data.items() if not str(node).startswith("__")]
                last = outputs[-1] if outputs else last
            if mode == "messages" and not isinstance(data, tuple):
                data = (data, {})
            for event_type, fields in _events(stream, mode, data):
                context._send(event_type, fields)
            if mode == "updates":
                stream.take((), "values", None)
        return as_output(values if values is not None else last)


def _events(stream: GraphStream, mode: str, data: Any) -> Iterable[Event]:
    if mode == "messages" and isinstance(data[0], str):
        return [("token", {"content": data[0]})] if data[0] else []
    return stream.take((), mode, data)
