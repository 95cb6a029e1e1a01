"""How an agent's function wants its payload and its context."""

from __future__ import annotations

import inspect
import typing
from collections.abc import Callable
from typing import Any

from dockrion_events.context import StreamContext

_POSITIONAL = (inspect.Parameter.POSITIONAL_ONLY, inspect.Parameter.POSITIONAL_OR_KEYWORD)


class Caller:
    """Calls a function with the payload, and with the context where it has a parameter for it."""

    def __init__(self, function: Callable[..., Any]) -> None:
        self._function = function
        parameters = _parameters(function)
        context = _context_parameter(function, parameters)
        #: Positional parameters that need a value, the context's apart.
        self.needed = [
            each.name
            for each in parameters
            if each.kind in _POSITIONAL and each.default is inspect.Parameter.empty and each is not context
        ]
        #: Whether there is one at all for the payload.
        self.takes_payload = any(
            each.kind in (*_POSITIONAL, inspect.Parameter.VAR_POSITIONAL) and each is not context for each in parameters
        )
        self._context_name: str | None = None
        self._context_index: int | None = None
        self._payload_name: str | None = None
        if context is not None:
            if context.kind is inspect.Parameter.POSITIONAL_ONLY:
                self._context_index = parameters.index(context)
            else:
                self._context_name = context.name
                before = parameters[: parameters.index(context)]
                others = [each for each in parameters if each is not context and each.kind in _POSITIONAL]
                if others and context.kind in _POSITIONAL and others[0] not in before:
                    # The context stands first, and is passed by name: so must the payload be.
                    self._payload_name = others[0].name

    def __call__(self, payload: Any, context: StreamContext) -> Any:
        if self._context_index is not None:
            arguments = (context, payload) if self._context_index == 0 else (payload, context)
            return self._function(*arguments)
        if self._context_name is None:
            return self._function(payload)
        if self._payload_name is not None:
            return self._function(**{self._payload_name: payload, self._context_name: context})
        return self._function(payload, **{self._context_name: context})


def _parameters(function: Callable[..., Any]) -> list[inspect.Parameter]:
    try:
        return list(inspect.signature(function).parameters.values())
    except (TypeError, ValueError):
        # Some functions in C have no signature: one payload then.
        return [inspect.Parameter("payload", inspect.Parameter.POSITIONAL_ONLY)]


def _context_parameter(function: Callable[..., Any], parameters: list[inspect.Parameter]) -> inspect.Parameter | None:
    passable = [
        each
        for each in parameters
        if each.kind not in (inspect.Parameter.VAR_POSITIONAL, inspect.Parameter.VAR_KEYWORD)
    ]
    for each in passable:
        if each.name == "context":
            return each
    hints = _hints(function)
    for each in passable:
        if _names_context(hints.get(each.name, each.annotation)):
            return each
    return None


def _hints(function: Callable[..., Any]) -> dict[str, Any]:
    target = function if inspect.isroutine(function) else getattr(function, "__call__", function)  # noqa: B004
    try:
        return typing.get_type_hints(target)
    except Exception:
        # Names that exist for type checkers only; the annotations' text is looked at instead.
        return {}


def _names_context(annotation: Any) -> bool:
    if isinstance(annotation, str):
        return "StreamContext" in annotation
    if isinstance(annotation, type):
        return issubclass(annotation, StreamContext)
    return any(_names_context(each) for each in typing.get_args(annotation))


def keywords_taken(function: Callable[..., Any]) -> set[str] | None:
    """Names that may be passed by keyword; None: any."""
    try:
        parameters = inspect.signature(function).parameters.values()
    except (TypeError, ValueError):
        return set()
    if any(each.kind is inspect.Parameter.VAR_KEYWORD for each in parameters):
        return None
    return {
        each.name
        for each in parameters
        if each.kind in (inspect.Parameter.POSITIONAL_OR_KEYWORD, inspect.Parameter.KEYWORD_ONLY)
    }
