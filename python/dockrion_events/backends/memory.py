"""Events in memory: the server's part."""

from .base import EventBackend


class InMemoryBackend(EventBackend):
    """Can be imported; making one raises `RuntimeError`."""
