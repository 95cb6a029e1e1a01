"""Names of the original package's runs. The server has them: `GET /runs`."""

from __future__ import annotations

from enum import Enum
from typing import Any

from .bus import refuse


class RunStatus(str, Enum):
    """What `status` of a run can be. As `Run`, it is for annotations and comparisons."""

    ACCEPTED = "accepted"
    RUNNING = "running"
    COMPLETED = "completed"
    FAILED = "failed"
    CANCELLED = "cancelled"


class Run:
    """Can be imported for annotations; making one raises `RuntimeError`."""

    def __init__(self, *_arguments: Any, **_options: Any) -> None:
        refuse(type(self).__name__)


class RunManager:
    """Can be imported for annotations; making one raises `RuntimeError`."""

    def __init__(self, *_arguments: Any, **_options: Any) -> None:
        refuse(type(self).__name__)
