"""Accepted where the original's `StreamContext` took it."""

from __future__ import annotations

from collections import deque

from ..models import BaseEvent


class QueueBackend:
    """A list of what is given to `emit`, which no context does."""

    def __init__(self) -> None:
        self._events: deque[BaseEvent] = deque()

    @property
    def name(self) -> str:
        return "queue"

    def is_available(self) -> bool:
        return True

    def emit(self, event: BaseEvent) -> bool:
        self._events.append(event)
        return True

    def drain(self) -> list[BaseEvent]:
        events = list(self._events)
        self._events.clear()
        return events

    def __len__(self) -> int:
        return len(self._events)
