"""`print`, `logging` and `warnings` of agents, line by line, with the run that they belong to."""

from __future__ import annotations

import io
import logging
import os
import sys
import threading
from typing import Any, Protocol

from dockrion_events.context import current_context

#: Bytes of a line; the rest is cut off.
LINE_BYTES = 8192

#: Level of what is written to `sys.stdout`, and to `sys.stderr`.
STDOUT_LEVEL, STDERR_LEVEL = logging.INFO, logging.WARNING


class Sink(Protocol):
    """Where lines go. In a zygote there is none: they go to the descriptors."""

    def line(self, level: int, logger: str, line: bytes, run: int | None = None) -> None:
        """Without a `run`, of the one that is current."""


_sink: Sink | None = None


def set_sink(sink: Sink | None) -> None:
    global _sink
    _sink = sink


def cut(text: str, further: int = 0) -> bytes:
    """A line's bytes, cut and marked where they are too many; `further` bytes of it were dropped before."""
    raw = text.encode("utf-8", "backslashreplace")
    if len(raw) <= LINE_BYTES and not further:
        return raw
    kept = raw[:LINE_BYTES].decode("utf-8", "ignore").encode()
    return kept + f" … [cut: {len(raw) - len(kept) + further} bytes]".encode()


class _Partial:
    """A line without its end, by one thread of one run."""

    __slots__ = ("dropped", "parts", "size")

    def __init__(self) -> None:
        self.parts: list[str] = []
        self.size = 0
        self.dropped = 0

    def add(self, text: str) -> None:
        # One character has four bytes at most, so what is kept is enough for a cut line.
        if self.size <= LINE_BYTES:
            kept = text[: LINE_BYTES + 1 - self.size]
            self.parts.append(kept)
            self.size += len(kept)
            text = text[len(kept) :]
        self.dropped += len(text.encode("utf-8", "backslashreplace")) if text else 0


class LineStream(io.TextIOBase):
    """Stands in for `sys.stdout` and `sys.stderr`."""

    def __init__(self, descriptor: int, level: int) -> None:
        super().__init__()
        self._descriptor = descriptor
        self._level = level
        self._partials: dict[tuple[int, int], _Partial] = {}
        self._binary = _BinaryStream(self)

    def write(self, text: str) -> int:
        if not isinstance(text, str):
            raise TypeError(f"write() argument must be str, not {type(text).__name__}")
        if _sink is None:
            _write_all(self._descriptor, text.encode("utf-8", "backslashreplace"))
            return len(text)
        key = (getattr(current_context.get(), "number", 0), threading.get_ident())
        *lines, rest = text.split("\n")
        for line in lines:
            partial = self._partials.pop(key, None)
            if partial is not None:
                partial.add(line)
                self._emit(partial)
            else:
                _sink.line(self._level, "", cut(line))
        if rest:
            self._partials.setdefault(key, _Partial()).add(rest)
        return len(text)

    def _emit(self, partial: _Partial, run: int | None = None) -> None:
        if _sink is not None:
            _sink.line(self._level, "", cut("".join(partial.parts), partial.dropped), run)

    def end_run(self, number: int) -> None:
        """Writes what the run's threads have left without a line's end."""
        for key in [key for key in list(self._partials) if key[0] == number]:
            partial = self._partials.pop(key, None)
            if partial is not None:
                self._emit(partial, number)

    def flush(self) -> None:
        pass

    def fileno(self) -> int:
        return self._descriptor

    def isatty(self) -> bool:
        return False

    def writable(self) -> bool:
        return True

    def reconfigure(self, **_options: Any) -> None:
        """Accepted, as for the interpreter's own streams."""

    @property
    def encoding(self) -> str:  # type: ignore[override]
        return "utf-8"

    @property
    def errors(self) -> str:  # type: ignore[override]
        return "backslashreplace"

    @property
    def buffer(self) -> io.RawIOBase:
        return self._binary

    @property
    def name(self) -> str:
        return "<stdout>" if self._descriptor == 1 else "<stderr>"

    @property
    def mode(self) -> str:
        return "w"


class _BinaryStream(io.RawIOBase):
    """`sys.stdout.buffer`: bytes are text here too, as far as they are UTF-8."""

    def __init__(self, text: LineStream) -> None:
        super().__init__()
        self._text = text

    def write(self, data: Any) -> int:
        raw = bytes(data)
        self._text.write(raw.decode("utf-8", "backslashreplace"))
        return len(raw)

    def writable(self) -> bool:
        return True

    def fileno(self) -> int:
        return self._text.fileno()


class LineHandler(logging.Handler):
    """The root logger's handler: a frame for each line of a record."""

    def emit(self, record: logging.LogRecord) -> None:
        try:
            text = self.format(record)
        except Exception:
            self.handleError(record)
            return
        if _sink is None:
            _write_all(2, f"{record.levelname} {record.name}: {text}\n".encode("utf-8", "backslashreplace"))
            return
        write_lines(record.levelno, record.name, text)


def write_lines(level: int, logger: str, text: str) -> None:
    """Each line of a text."""
    if _sink is None:
        _write_all(2, (text + "\n").encode("utf-8", "backslashreplace"))
        return
    for line in text.rstrip("\n").split("\n"):
        _sink.line(level, logger, cut(line))


def _write_all(descriptor: int, data: bytes) -> None:
    while data:
        try:
            data = data[os.write(descriptor, data) :]
        except OSError:
            # Nobody reads: there is no other place to say it.
            return


def install() -> tuple[LineStream, LineStream]:
    """Puts streams and handler in place, for a zygote and the workers that it forks: what an agent's import keeps of
    them is right in both."""
    out, err = LineStream(1, STDOUT_LEVEL), LineStream(2, STDERR_LEVEL)
    sys.stdout, sys.stderr = out, err
    handler = LineHandler()
    handler.setFormatter(logging.Formatter("%(message)s"))
    root = logging.getLogger()
    root.handlers[:] = [handler]
    logging.captureWarnings(True)
    return out, err


_LEVELS = {"debug": 10, "info": 20, "warning": 30, "warn": 30, "error": 40, "critical": 50}


def level_number(name: str) -> int:
    """Python's number of a level's name; `ValueError` for another."""
    if name.lower() not in _LEVELS:
        raise ValueError(f"log level {name!r} is none of {', '.join(_LEVELS)}")
    return _LEVELS[name.lower()]
