"""Names of the original package's backends; the Dockfile's `streaming.backend` chooses where events are kept."""

from .base import BackendConnectionError, BackendError, BackendPublishError, BackendSubscribeError, EventBackend
from .memory import InMemoryBackend
from .redis import RedisBackend

__all__ = [
    "BackendConnectionError",
    "BackendError",
    "BackendPublishError",
    "BackendSubscribeError",
    "EventBackend",
    "InMemoryBackend",
    "RedisBackend",
]
