"""Names of the original package's streaming backends: accepted, without effect."""

from .base import StreamingBackend
from .langgraph import LangGraphBackend
from .queue import QueueBackend

__all__ = ["LangGraphBackend", "QueueBackend", "StreamingBackend"]
