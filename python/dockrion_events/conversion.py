"""What agents hand over, as what JSON can hold, and as JSON text.

Most of it is plain already: `is_plain` finds that out by looking at containers only, and an encoder in C does the rest.
"""

from __future__ import annotations

import dataclasses
import json
import json.encoder
from collections.abc import Callable, Mapping, Sequence, Set
from datetime import date, datetime, time, timedelta
from decimal import Decimal
from enum import Enum
from pathlib import PurePath
from typing import Any
from uuid import UUID

#: Levels of containers around a value; what lies deeper is replaced by `DEPTH_TEXT`.
DEPTH_MAX = 50
DEPTH_TEXT = f"<max depth {DEPTH_MAX} exceeded>"

_LEAVES = frozenset({str, int, bool, type(None)})
_CONTAINERS = frozenset({dict, list, tuple})

#: A str as JSON text with its quotes. Control characters are escaped, others stand as they are.
escape: Callable[[str], str] = json.encoder.encode_basestring


def is_plain(value: Any, depth: int = 0) -> bool:
    """Whether a dict, list or tuple holds only what the encoder writes as it should stand."""
    if depth >= DEPTH_MAX and value:
        return False
    if type(value) is dict:
        for key in value:
            if type(key) is not str:
                return False
        items: Any = value.values()
    else:
        items = value
    for item in items:
        kind = type(item)
        if kind in _LEAVES:
            continue
        if kind is float:
            # An infinity less itself is NaN, which equals nothing.
            if item - item != 0.0:
                return False
        elif kind not in _CONTAINERS or not is_plain(item, depth + 1):
            return False
    return True


def to_plain(value: Any) -> Any:
    """`value` as dict, list, str, int, float, bool and None. `ValueError` with the path for NaN and infinities."""
    if type(value) in _CONTAINERS and is_plain(value):
        return value
    return _convert(value, 0, [])


def _convert(value: Any, depth: int, path: list[str | int]) -> Any:
    if depth > DEPTH_MAX:
        return DEPTH_TEXT
    if value is None or value is True or value is False:
        return value
    if isinstance(value, str):
        return str.__str__(value)
    if isinstance(value, int):
        return int(value)
    if isinstance(value, float):
        return _finite(float(value), path)
    if isinstance(value, Mapping):
        return _convert_object(value, depth, path)
    if isinstance(value, (list, tuple)):
        return _convert_array(value, depth, path)
    if isinstance(value, (bytes, bytearray, memoryview)):
        raw = bytes(value)
        try:
            return raw.decode("utf-8")
        except UnicodeDecodeError:
            return f"<bytes: {len(raw)} bytes>"
    if isinstance(value, Set):
        return _convert_array(sorted(value, key=_text), depth, path)
    if isinstance(value, type):
        return _text(value)
    if isinstance(value, (datetime, date, time)):
        return value.isoformat()
    if isinstance(value, timedelta):
        return value.total_seconds()
    if isinstance(value, (UUID, PurePath)):
        return str(value)
    if isinstance(value, Decimal):
        if not value.is_finite():
            return _finite(float("nan") if value.is_nan() else float("inf"), path)
        return (
            int(value) if value == value.to_integral_value() and value.adjusted() < 400 else _finite(float(value), path)
        )
    if isinstance(value, Enum):
        inner = value.value
        return _convert(inner, depth, path) if isinstance(inner, (str, int, float)) else _text(value)
    if isinstance(value, Sequence):
        return _convert_array(value, depth, path)
    return _convert_other(value, depth, path)


def _convert_object(value: Mapping[Any, Any], depth: int, path: list[str | int]) -> dict[str, Any]:
    fields: dict[str, Any] = {}
    for key, item in value.items():
        name = str.__str__(key) if isinstance(key, str) else _text(key)
        path.append(name)
        fields[name] = _convert(item, depth + 1, path)
        path.pop()
    return fields


def _convert_array(value: Any, depth: int, path: list[str | int]) -> list[Any]:
    items = []
    for index, item in enumerate(value):
        path.append(index)
        items.append(_convert(item, depth + 1, path))
        path.pop()
    return items


def _convert_other(value: Any, depth: int, path: list[str | int]) -> Any:
    fields = object_fields(value)
    if fields is not None:
        return _convert_object(fields, depth, path)
    kind = type(value)
    if hasattr(kind, "dtype") and hasattr(kind, "tolist"):
        # numpy's numbers and arrays, and what follows their ways.
        return _convert(value.tolist(), depth, path)
    public = _public_attributes(value)
    return _convert_object(public, depth, path) if public else _text(value)


def object_fields(value: Any) -> Mapping[Any, Any] | None:
    """The fields of a pydantic model, a LangChain message or a dataclass; None for anything else."""
    kind = type(value)
    if callable(getattr(kind, "model_dump", None)):
        dumped = value.model_dump()
        return dumped if isinstance(dumped, Mapping) else {"root": dumped}
    if hasattr(kind, "__fields__") and callable(getattr(kind, "dict", None)):
        return dict(value.dict())
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        return {field.name: getattr(value, field.name) for field in dataclasses.fields(value)}
    return None


def _public_attributes(value: Any) -> dict[str, Any]:
    names = list(getattr(value, "__dict__", ()))
    for base in type(value).__mro__:
        slots = base.__dict__.get("__slots__", ())
        names += [slots] if isinstance(slots, str) else slots
    missing = object()
    found = {name: getattr(value, name, missing) for name in names if not name.startswith("_")}
    return {name: item for name, item in found.items() if item is not missing}


def _text(value: Any) -> str:
    try:
        return str(value)
    except Exception:
        return f"<{type(value).__name__}>"


def _finite(value: float, path: list[str | int]) -> float:
    if value - value == 0.0:
        return value
    where = "".join(f"[{step}]" if isinstance(step, int) else f".{step}" for step in path).removeprefix(".")
    raise ValueError(f"{where or 'the value'} is {value!r}, which JSON cannot hold")


def _make_encoder() -> Callable[[Any], str]:
    """An encoder that is made once; the standard library's own makes one a call, which costs more than the rest."""
    kept = json.JSONEncoder(ensure_ascii=False, allow_nan=False, check_circular=False, separators=(",", ":"))
    make = getattr(json.encoder, "c_make_encoder", None)
    if make is None:
        return kept.encode
    try:
        encode = make(None, kept.default, escape, None, ":", ",", False, False, False)

        def quick(value: Any) -> str:
            return "".join(encode(value, 0))

        sample = {"a": [1, 2.5, None, True, "é\n"], "b": {}}
        if quick(sample) == kept.encode(sample):
            return quick
    except Exception:
        pass
    return kept.encode


_encode_text = _make_encoder()

try:
    from orjson import dumps as _orjson_dumps
except ImportError:
    _orjson_dumps = None  # type: ignore[assignment]


def encode_plain(value: Any) -> bytes:
    """JSON of what `to_plain` gave. A surrogate without its other half stands as `\\udXXX`."""
    if _orjson_dumps is not None:
        try:
            return _orjson_dumps(value)
        except TypeError:
            # Integers beyond 64 bits and surrogates.
            pass
    return _encode_text(value).encode("utf-8", "backslashreplace")


def encode(value: Any) -> bytes:
    """JSON of anything. `ValueError` with the path for NaN and infinities."""
    return encode_plain(to_plain(value))
