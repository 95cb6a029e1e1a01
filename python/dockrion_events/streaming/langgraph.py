"""Accepted where the original's `StreamContext` took it."""

from __future__ import annotations

from ..models import BaseEvent


class LangGraphBackend:
    """Without effect: a context in a graph's node emits to the server."""

    @property
    def name(self) -> str:
        return "langgraph"

    def is_available(self) -> bool:
        return False

    def emit(self, event: BaseEvent) -> bool:
        return False
