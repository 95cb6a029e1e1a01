"""LangChain's Runnables."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from contextlib import aclosing
from typing import Any

from .agents import InvalidOutput, fill
from .graphs import as_output, check_config, make_config
from .messages import MessageEvents, is_message, text_of
from .run import RunContext


class Runnable:
    """An object with LangChain's `astream(input, config)` and `ainvoke(input, config)`."""

    is_async = True
    in_memory_checkpointer = False

    def __init__(self, subject: Any, kind: str = "langchain") -> None:
        self.subject = subject
        self.kind = kind

    def prepare(self, payload: dict[str, Any], properties: Iterable[str]) -> Any:
        if "input" in payload and payload.keys() <= {"input", "config"}:
            inner = payload["input"]
            if isinstance(inner, dict) and "config" in payload:
                fill(inner, properties)
            return payload
        return {"input": fill(payload, properties)}

    def run_sync(self, payload: Any, context: RunContext) -> Any:
        raise NotImplementedError

    async def run_async(self, payload: Any, context: RunContext) -> Any:
        data = payload["input"]
        config = make_config(check_config(payload.get("config")), context, needs_thread=False)
        if context.mode == "invoke":
            return as_output(await self.subject.ainvoke(data, config))
        gathered = _Gathered(context)
        items = self.subject.astream(data, config)
        if not hasattr(items, "aclose"):
            async for piece in items:
                await gathered.take(piece)
        else:
            async with aclosing(items):
                async for piece in items:
                    await gathered.take(piece)
        return gathered.output()


class _Gathered:
    """The pieces of a stream: texts and messages are tokens, dicts are added up."""

    def __init__(self, context: RunContext) -> None:
        self._context = context
        self._messages = MessageEvents()
        self._tokens: list[str] = []
        self._sum: Any = None
        self._other: Any = None

    async def take(self, piece: Any) -> None:
        if isinstance(piece, str):
            self._tokens.append(piece)
            if piece:
                await self._context._send_async("token", {"content": piece})
        elif is_message(piece):
            self._tokens.append(text_of(piece))
            for event_type, fields in self._messages.of(piece, {}):
                await self._context._send_async(event_type, fields)
        elif isinstance(piece, Mapping):
            self._sum = piece if self._sum is None else _add(self._sum, piece)
        else:
            self._other = piece

    def output(self) -> Any:
        if self._sum is not None:
            return dict(self._sum)
        if self._other is not None and not self._tokens:
            raise InvalidOutput(f"the runnable streamed a {type(self._other).__name__}, no text, message or dict")
        return {"text": "".join(self._tokens)}


def _add(total: Any, piece: Any) -> Any:
    try:
        return total + piece
    except TypeError:
        # Plain dicts: as LangChain adds those of its own that can be.
        from langchain_core.runnables.utils import AddableDict

        return AddableDict(total) + AddableDict(piece)
