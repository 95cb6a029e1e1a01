"""Handlers for the tests; each does one thing."""

from __future__ import annotations

import asyncio
import logging
import sys
import threading
import time
import warnings
from collections.abc import AsyncIterator, Iterator
from typing import Any

from dockrion_events import AgentError, RunCancelled, StreamContext, get_current_context

Json = dict[str, Any]


def echo(payload: Json) -> Json:
    return payload


def guide(payload: Json) -> Json:
    context = get_current_context()
    assert context is not None
    context.sync_emit_progress("processing", 0.5, "Halfway done")
    context.sync_checkpoint("intermediate", {"parsed": True})
    context.sync_emit("fraud_check", {"passed": True, "score": 0.02})
    context.sync_emit_step("my_node", duration_ms=150)
    context.sync_emit_token("Hi")
    return {"ids": [context.run_id, context.request_id], "identity": context.identity is None}


async def guide_async(payload: Json, context: StreamContext) -> Json:
    progress = await context.emit_progress("processing", "0.5")
    await context.checkpoint("intermediate", {"parsed": True})
    await context.emit("fraud_check", {"passed": True})
    await context.emit_step("my_node", 1.6, ["a"], ["b"])
    token = await context.emit_token("Hi", "stop")
    same = get_current_context() is context
    return {"types": [getattr(each, "type", None) for each in (progress, token)], "same": same}


def burst(payload: Json, *, context: StreamContext) -> Json:
    for number in range(payload["count"]):
        context.sync_emit_token(f"t{number};")
    return {"count": payload["count"]}


async def burst_async(payload: Json, context: StreamContext) -> Json:
    for number in range(payload["count"]):
        await context.emit_token(f"t{number};")
    return {"count": payload["count"]}


async def burst_on_loop(payload: Json, context: StreamContext) -> Json:
    for number in range(payload["count"]):
        context.sync_emit_token(f"t{number};" + "x" * payload.get("size", 0))
    return {"count": payload["count"]}


async def wait(payload: Json, context: StreamContext) -> Json:
    for number in range(payload.get("tokens", 1)):
        await context.emit_token(f"{number}")
        await asyncio.sleep(payload.get("pause", 3600))
    return {"waited": True}


def emit_then_block(payload: Json) -> Json:
    context = get_current_context()
    assert context is not None
    context.sync_emit_token("first")
    context.sync_emit_token("second")
    time.sleep(payload["seconds"])
    return {}


async def emit_then_hold_loop(payload: Json, context: StreamContext) -> Json:
    await context.emit_token("first")
    await context.emit_token("second")
    time.sleep(payload["seconds"])
    return {}


def busy(seconds: float) -> None:
    """In a frame of its own: CPython 3.13 catches nothing that is raised in a loop's last instruction there."""
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        pass


def spin(payload: Json, context: StreamContext) -> Json:
    context.sync_emit_token("on")
    try:
        busy(payload["seconds"])
    except RunCancelled:
        print("interrupted")
        raise
    return {"spun": True}


async def spin_async(payload: Json, context: StreamContext) -> Json:
    await context.emit_token("on")
    try:
        busy(payload["seconds"])
    except RunCancelled:
        print("interrupted")
        raise
    return {"spun": True}


def block(payload: Json, context: StreamContext) -> Json:
    """Sleeps in pieces, so that an exception can come between."""
    context.sync_emit_token("on")
    end = time.monotonic() + payload["seconds"]
    while time.monotonic() < end:
        if payload.get("looks") and context.is_cancelled:
            return {"saw": True}
        if payload.get("emits"):
            context.sync_emit("tick", {})
        time.sleep(0.002)
    return {"slept": True}


async def in_executor(payload: Json, context: StreamContext) -> Json:
    def work() -> bool:
        inner = get_current_context()
        assert inner is context
        inner.sync_emit_token("from a thread")
        end = time.monotonic() + payload.get("seconds", 0)
        while time.monotonic() < end:
            time.sleep(0.002)
        return True

    return {"worked": await asyncio.to_thread(work)}


async def stubborn(payload: Json, context: StreamContext) -> Json:
    await context.emit_token("on")
    for _ in range(payload["times"]):
        try:
            await asyncio.sleep(3600)
        except asyncio.CancelledError:
            await context.emit_token("never seen")
    return {"stubborn": True}


def fail(payload: Json) -> Json:
    kind = payload["kind"]
    if kind == "value":
        raise ValueError("the message")
    if kind == "agent":
        raise AgentError("for the client", "MY_CODE", {"a": 1})
    if kind == "code":
        problem = RuntimeError("coded")
        problem.code = "QUOTA_USED"  # type: ignore[attr-defined]
        raise problem
    if kind == "exit":
        sys.exit(3)
    if kind == "interrupt":
        raise KeyboardInterrupt
    if kind == "nan":
        return {"a": {"b": [0, float("nan")]}}
    if kind == "large":
        return {"text": "x" * (17 << 20)}
    values: dict[str, Any] = {"none": None, "text": "text", "list": [1]}
    return values[kind]  # type: ignore[no-any-return]


async def fail_in_task(payload: Json) -> Json:
    async def leave() -> None:
        sys.exit(3)

    await asyncio.gather(asyncio.create_task(leave()))
    return {}


def pieces(payload: Json) -> Iterator[Any]:
    yield "Hello"
    yield {"type": "progress", "step": "half", "progress": 2}
    yield ", world"
    yield {"type": "mine", "a": 1}
    if payload.get("output"):
        yield {"done": True}


async def pieces_async(payload: Json) -> AsyncIterator[Any]:
    yield "Hello"
    await asyncio.sleep(0)
    yield {"type": "token", "content": ", world"}


def returns_coroutine(payload: Json) -> Any:
    return guide_async(payload, get_current_context())  # type: ignore[arg-type]


class Callable:
    async def __call__(self, payload: Json) -> Json:
        return {"called": payload["a"]}


called = Callable()


def positional(context: StreamContext, payload: Json, /) -> Json:
    return {"run": context.run_id, "payload": payload}


def context_first(context: Any, payload: Json) -> Json:
    return {"run": context.run_id, "payload": payload}


def talk(payload: Json, context: StreamContext) -> Json:
    print("a line")
    print("two\nlines")
    print("to stderr", file=sys.stderr)
    logging.getLogger("mine").info("by logging %d", 5)
    logging.getLogger("mine").debug("below the level")
    warnings.warn("a warning", stacklevel=1)
    print("x" * 20_000)
    thread = threading.Thread(target=print, args=("from a bare thread",))
    thread.start()
    thread.join()
    sys.stdout.write("without an end")
    return {}


def talk_much(payload: Json) -> Json:
    for number in range(payload["lines"]):
        print(f"line {number}")
    return {}


def misuse(payload: Json, context: StreamContext) -> Json:
    """What each wrong emit raises."""
    nan = float("nan")
    tries: list[Any] = [
        lambda: context.sync_emit_token(5),  # type: ignore[arg-type]
        lambda: context.sync_emit("started", {}),
        lambda: context.sync_emit("heartbeat", {}),
        lambda: context.sync_emit("no spaces", {}),
        lambda: context.sync_emit("mine", {"run_id": 1}),
        lambda: context.sync_emit("mine", {"a": {"b": [nan]}}),
        lambda: context.sync_emit("mine", []),  # type: ignore[arg-type]
        lambda: context.sync_emit_token("x" * (1 << 20)),
        lambda: context.sync_emit_progress("s", "much"),
        lambda: context.sync_emit("token", {}),
    ]
    found = []
    for each in tries:
        try:
            each()
        except (TypeError, ValueError, RuntimeError) as problem:
            found.append(f"{type(problem).__name__}: {problem}")
        else:
            found.append("nothing")
    return {"found": found}


kept: list[StreamContext] = []


def keep(payload: Json, context: StreamContext) -> Json:
    if kept:
        return {"late": kept[0].sync_emit_token("late"), "again": kept[0].sync_emit_token("late")}
    kept.append(context)
    return {}


def convert(payload: Json, context: StreamContext) -> Json:
    import datetime
    import decimal
    import enum
    import pathlib
    import uuid
    from dataclasses import dataclass

    @dataclass
    class Point:
        x: int
        y: Any

    class Color(enum.Enum):
        RED = "red"

    class Thing:
        def __init__(self) -> None:
            self.public = {1: True}
            self._private = 2

    deep: Any = "bottom"
    for _ in range(60):
        deep = [deep]
    data = {
        "point": Point(1, Point(2, None)),
        "when": datetime.datetime(2026, 1, 2, 3, 4, 5),
        "day": datetime.date(2026, 1, 2),
        "uuid": uuid.UUID(int=1),
        "path": pathlib.PurePosixPath("/a/b"),
        "decimal": decimal.Decimal("1.5"),
        "delta": datetime.timedelta(minutes=1),
        "enum": Color.RED,
        "bytes": b"abc",
        "raw": b"\xff\xfe",
        "tuple": (1, 2),
        "set": {"b", "a"},
        "thing": Thing(),
        "deep": deep,
        "surrogate": "\ud800",
        "big": 1 << 70,
    }
    context.sync_emit("converted", data)
    return data


def noise_of_c(payload: Json) -> Json:
    import os

    os.write(1, b"raw out\n")
    os.write(2, b"raw err\n")
    return {}


def die(payload: Json) -> Json:
    import os
    import signal

    if "exit" in payload:
        os._exit(payload["exit"])
    os.kill(os.getpid(), getattr(signal, payload["signal"]))
    time.sleep(60)
    return {}


def hold(payload: Json, context: StreamContext) -> Json:
    """Holds the interpreter: no other thread of the process runs."""
    import ctypes

    context.sync_emit_token("on")
    time.sleep(0.05)
    ctypes.PyDLL(None).sleep(60)
    return {}


def descriptors(payload: Json) -> Json:
    import os

    numbers = sorted(int(name) for name in os.listdir("/proc/self/fd"))
    targets = []
    for number in numbers:
        try:
            targets.append(os.readlink(f"/proc/self/fd/{number}"))
        except OSError:
            continue
    return {"targets": targets}


def forks(payload: Json) -> Json:
    import os

    pid = os.fork()
    if pid == 0:
        print("child")
        os._exit(0)
    print("parent")
    return {"child": os.waitpid(pid, 0)[1]}


def spin_or_tick(payload: Json, context: StreamContext) -> Json:
    if "spin" in payload:
        context.sync_emit("tick", {"at": time.monotonic()})
        end = time.monotonic() + payload["spin"]
        while time.monotonic() < end:
            pass
        return {}
    for _ in range(payload["ticks"]):
        context.sync_emit("tick", {"at": time.monotonic()})
        time.sleep(0.002)
    return {}


async def many_emitters(payload: Json, context: StreamContext) -> Json:
    def in_thread(name: str) -> None:
        for number in range(payload["each"]):
            context.sync_emit_token(f"{name} {number}")

    async def in_task(name: str) -> None:
        for number in range(payload["each"]):
            await context.emit_token(f"{name} {number}")

    async def on_loop() -> None:
        for number in range(payload["each"]):
            context.sync_emit_token(f"loop {number}")
            await asyncio.sleep(0)

    await asyncio.gather(
        *(asyncio.to_thread(in_thread, f"thread{number}") for number in range(3)),
        *(in_task(f"task{number}") for number in range(2)),
        on_loop(),
    )
    return {}


def burst_or_spin(payload: Json, context: StreamContext) -> Json:
    return spin_or_tick(payload, context) if "spin" in payload else burst(payload, context=context)


async def ticks_async(payload: Json, context: StreamContext) -> Json:
    for _ in range(payload["ticks"]):
        await context.emit("tick", {"at": time.monotonic()})
        await asyncio.sleep(payload["pause"])
    return {}
