"""Events in Redis: the server's part."""

from .base import EventBackend


class RedisBackend(EventBackend):
    """Can be imported; making one raises `RuntimeError`."""
