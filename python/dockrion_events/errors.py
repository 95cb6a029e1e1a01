"""What an agent raises, and what is raised in it."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

_CODE = re.compile(r"[A-Z][A-Z0-9_]*\Z")


class AgentError(Exception):
    """Fails the run with a message that the client sees, whatever the server hides of other exceptions.

    `code` matches `[A-Z][A-Z0-9_]*`, at most 256 characters; `details` is an object or None.
    """

    def __init__(self, message: str, code: str = "AGENT_ERROR", details: Mapping[str, Any] | None = None) -> None:
        if not isinstance(message, str):
            raise TypeError(f"message is a {type(message).__name__}, not a str")
        if not isinstance(code, str):
            raise TypeError(f"code is a {type(code).__name__}, not a str")
        if not _CODE.match(code) or len(code) > 256:
            raise ValueError(f"code {code!r} does not match [A-Z][A-Z0-9_]*, at most 256 characters")
        if details is not None and not isinstance(details, Mapping):
            raise TypeError(f"details is a {type(details).__name__}, not a dict")
        super().__init__(message)
        self.message = message
        self.code = code
        self.details = None if details is None else dict(details)


class RunCancelled(BaseException):
    """Raised in an agent whose run was cancelled; no `Exception`, so that agents do not swallow it by accident.

    Let it pass, or raise it again after cleaning up.
    """
