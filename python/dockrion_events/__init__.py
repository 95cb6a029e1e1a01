"""What an agent imports to emit events.

    from dockrion_events import get_current_context

    def handler(payload):
        context = get_current_context()
        context.sync_emit_token("Hello")
        return {"done": True}

Nothing but the standard library is needed. In an agent's own tests `StreamContext("run", queue_mode=True)` keeps what
is emitted.
"""

from .backends import EventBackend, InMemoryBackend, RedisBackend
from .bus import EventBus
from .context import Identity, StreamContext, context_scope, get_current_context, set_current_context
from .errors import AgentError, RunCancelled
from .filter import EventsFilter
from .models import (
    TERMINAL_EVENT_TYPES,
    BaseEvent,
    CancelledEvent,
    CheckpointEvent,
    CompleteEvent,
    ErrorEvent,
    HeartbeatEvent,
    ProgressEvent,
    StartedEvent,
    StepEvent,
    StreamEvent,
    TokenEvent,
    create_event,
    is_terminal_event,
    parse_event,
)
from .run_manager import Run, RunManager, RunStatus
from .streaming import LangGraphBackend, QueueBackend, StreamingBackend

__version__ = "0.1.0"

__all__ = [
    "TERMINAL_EVENT_TYPES",
    "AgentError",
    "BaseEvent",
    "CancelledEvent",
    "CheckpointEvent",
    "CompleteEvent",
    "ErrorEvent",
    "EventBackend",
    "EventBus",
    "EventsFilter",
    "HeartbeatEvent",
    "Identity",
    "InMemoryBackend",
    "LangGraphBackend",
    "ProgressEvent",
    "QueueBackend",
    "RedisBackend",
    "Run",
    "RunCancelled",
    "RunManager",
    "RunStatus",
    "StartedEvent",
    "StepEvent",
    "StreamContext",
    "StreamEvent",
    "StreamingBackend",
    "TokenEvent",
    "__version__",
    "context_scope",
    "create_event",
    "get_current_context",
    "is_terminal_event",
    "parse_event",
    "set_current_context",
]
