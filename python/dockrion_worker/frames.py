"""Frames to the byte: making those to the server, parsing those from it."""

from __future__ import annotations

import json
import struct
from collections.abc import Iterator
from typing import Any

HELLO, START, CANCEL, ACK, DRAIN, PING = 0x01, 0x02, 0x03, 0x04, 0x05, 0x06
READY, EVENT, DONE, FAIL, CANCELLED, LOG, PONG, FATAL = 0x41, 0x42, 0x43, 0x44, 0x45, 0x46, 0x47, 0x48

#: Bytes behind a header, at most.
LENGTH_MAX = 16 << 20

_HEADER = struct.Struct("<IBBHI")
_HEADER_BYTES = _HEADER.size
_U32 = struct.Struct("<I")
_PONG = struct.Struct("<QI")

_NAMES = {HELLO: "HELLO", START: "START", CANCEL: "CANCEL", ACK: "ACK", DRAIN: "DRAIN", PING: "PING"}
#: Sizes of payloads that have one.
_SIZES = {ACK: 4, DRAIN: 0, PING: 8}
#: Frames of the process; the others are a run's.
_PROCESS = frozenset({HELLO, DRAIN, PING})

pack_length = _U32.pack


class BadFrame(Exception):
    """The server has sent what no server sends."""


def frame(kind: int, run: int, payload: bytes = b"", a: int = 0, b: int = 0) -> bytes:
    return _HEADER.pack(len(payload), kind, a, b, run) + payload


def head(kind: int, run: int, a: int = 0, b: int = 0) -> bytes:
    """A header without its length, for frames of which a run has many."""
    return _HEADER.pack(0, kind, a, b, run)[4:]


def pong(ping: bytes, age_ms: int) -> bytes:
    return frame(PONG, 0, _PONG.pack(int.from_bytes(ping, "little"), min(age_ms, 0xFFFFFFFF)))


def log(run: int, level: int, name: bytes, line: bytes) -> bytes:
    return frame(LOG, run, name + line, max(0, min(level, 255)), len(name))


def json_object(what: str, raw: bytes | memoryview) -> dict[str, Any]:
    try:
        value = json.loads(str(raw, "utf-8"))
    except (ValueError, RecursionError) as problem:
        raise BadFrame(f"{what} is no JSON: {problem}") from None
    if not isinstance(value, dict):
        raise BadFrame(f"{what} is no JSON object")
    return value


def split_start(payload: bytes) -> tuple[dict[str, Any], bytes]:
    """The two parts of START: its own JSON, and the client's payload as it came."""
    if len(payload) < 4:
        raise BadFrame(f"START has {len(payload)} bytes")
    size = _U32.unpack_from(payload)[0]
    if size > len(payload) - 4:
        raise BadFrame(f"START announces {size} bytes of JSON and has {len(payload) - 4}")
    return json_object("START", payload[4 : 4 + size]), payload[4 + size :]


def u32(payload: bytes) -> int:
    return int.from_bytes(payload, "little")


class FrameReader:
    """Takes bytes as they come, gives whole frames."""

    def __init__(self) -> None:
        self._buffer = bytearray()

    @property
    def pending(self) -> int:
        """Bytes of a frame whose rest has not come."""
        return len(self._buffer)

    def feed(self, data: bytes) -> Iterator[tuple[int, int, bytes]]:
        """Type, run and payload of each frame that is whole now. Raises `BadFrame`."""
        buffer = self._buffer
        buffer += data
        at = 0
        try:
            while len(buffer) - at >= _HEADER_BYTES:
                length, kind, a, b, run = _HEADER.unpack_from(buffer, at)
                _check_header(length, kind, a, b, run)
                if len(buffer) - at < _HEADER_BYTES + length:
                    break
                payload = bytes(memoryview(buffer)[at + _HEADER_BYTES : at + _HEADER_BYTES + length])
                at += _HEADER_BYTES + length
                yield kind, run, payload
        finally:
            del buffer[:at]


def _check_header(length: int, kind: int, a: int, b: int, run: int) -> None:
    name = _NAMES.get(kind)
    if name is None:
        raise BadFrame(f"type 0x{kind:02x} is not known")
    if length > LENGTH_MAX:
        raise BadFrame(f"{name} announces {length} bytes, at most {LENGTH_MAX} are allowed")
    if a or b:
        raise BadFrame(f"{name} has {a} and {b} where 0 belongs")
    if (run == 0) != (kind in _PROCESS):
        raise BadFrame(f"{name} is for run {run}")
    size = _SIZES.get(kind)
    if size is not None and length != size:
        raise BadFrame(f"{name} announces {length} bytes, {size} are right")
