"""How a run's failure is said: FAIL for the server, the traceback for the log."""

from __future__ import annotations

import logging
import os
import re
import traceback
from collections.abc import Callable, Mapping
from typing import Any

from dockrion_events.conversion import encode, to_plain
from dockrion_events.errors import AgentError

from . import frames

#: Bytes of an error's text, of its code, and of its details in JSON.
_ERROR_BYTES, _CODE_CHARACTERS, _DETAILS_BYTES = 128 << 10, 256, 256 << 10

_CODE = re.compile(r"[A-Z][A-Z0-9_]*\Z")
_agent_log = logging.getLogger("dockrion.agent")


def fail(error: str, code: str, details: Mapping[str, Any] | None = None) -> Callable[[int], bytes]:
    raw = error.encode("utf-8", "backslashreplace")
    if len(raw) > _ERROR_BYTES:
        error = raw[:_ERROR_BYTES].decode("utf-8", "ignore")
    fields: dict[str, Any] = {"error": error, "code": code}
    if details is not None:
        try:
            plain = to_plain(details)
            if len(encode(plain)) > _DETAILS_BYTES:
                raise ValueError(f"they have more than {_DETAILS_BYTES} bytes")
            fields["details"] = plain
        except ValueError as problem:
            _agent_log.warning("the details of an error are not sent: %s", problem)
    payload = encode(fields)
    return lambda number: frames.frame(frames.FAIL, number, payload)


def text_of(problem: BaseException) -> str:
    try:
        text = str(problem)
    except Exception:
        text = "(its text cannot be made)"
    return f"{type(problem).__name__}: {text}" if text else type(problem).__name__


def traceback_of(problem: BaseException) -> str:
    """The traceback without this package's own frames at its top."""
    own = os.path.dirname(os.path.abspath(__file__))
    trace = problem.__traceback__
    while trace is not None and trace.tb_next is not None and trace.tb_frame.f_code.co_filename.startswith(own):
        trace = trace.tb_next
    try:
        return "".join(traceback.format_exception(type(problem), problem, trace))
    except Exception:
        return f"{type(problem).__name__}, whose text cannot be made"


def named(value: Any) -> str:
    return "None" if value is None else f"a {type(value).__name__}"


def error(problem: BaseException, expose: bool) -> Callable[[int], bytes]:
    """FAIL of an agent's exception; its text only where it is the client's or shown to it."""
    code = getattr(problem, "code", None)
    if not (isinstance(code, str) and _CODE.match(code) and len(code) <= _CODE_CHARACTERS):
        code = "AGENT_ERROR"
    if isinstance(problem, AgentError):
        return fail(problem.message, code, problem.details)
    return fail(text_of(problem) if expose else "the agent failed", code)
