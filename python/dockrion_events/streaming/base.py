"""What streaming backends have in common."""

from __future__ import annotations

from typing import Protocol, runtime_checkable

from ..models import BaseEvent


@runtime_checkable
class StreamingBackend(Protocol):
    @property
    def name(self) -> str: ...

    def emit(self, event: BaseEvent) -> bool: ...

    def is_available(self) -> bool: ...
