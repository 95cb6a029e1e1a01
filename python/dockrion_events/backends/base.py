"""What backends have in common."""

from __future__ import annotations

from typing import Any

from ..bus import refuse


class EventBackend:
    """Can be imported for annotations; making one raises `RuntimeError`."""

    def __init__(self, *_arguments: Any, **_options: Any) -> None:
        refuse(type(self).__name__)


class BackendError(Exception):
    def __init__(self, message: str, backend: str = "unknown") -> None:
        super().__init__(message)
        self.backend = backend


class BackendConnectionError(BackendError):
    pass


class BackendPublishError(BackendError):
    pass


class BackendSubscribeError(BackendError):
    pass
