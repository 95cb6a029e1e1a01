"""Handlers for the tests of a server with Python agents."""

from __future__ import annotations

import asyncio
import logging
import os
import time
import warnings
from typing import Any

from dockrion_events import StreamContext, get_current_context


def guide(payload: dict[str, Any], context: StreamContext) -> dict[str, Any]:
    context.sync_emit_progress("processing", 0.5, "Halfway done")
    context.sync_emit("fraud_check", {"passed": True, "score": 0.02})
    context.sync_emit_step("my_node", duration_ms=150)
    context.sync_emit_token("Hello")
    wait_for(payload["release"])
    return {"status": "done"}


async def graph(payload: dict[str, Any]) -> dict[str, Any]:
    """What the others need, by `do`."""
    context = get_current_context()
    assert context is not None
    return await globals()["do_" + payload["do"]](payload, context)  # type: ignore[no-any-return]


def wait_for(path: str) -> None:
    while not os.path.exists(path):
        time.sleep(0.005)


async def do_hold(payload: dict[str, Any], context: StreamContext) -> dict[str, Any]:
    """Says its process, waits for a file, and notes a cancellation in another."""
    await context.emit("process", {"pid": os.getpid()})
    try:
        while not os.path.exists(payload["release"]):
            await asyncio.sleep(0.005)
    except asyncio.CancelledError:
        with open(payload["release"] + ".cancelled", "w") as file:
            file.write("yes")
        raise
    for number in range(50):
        await context.emit_token(str(number))
    return {"pid": os.getpid()}


async def do_spin(payload: dict[str, Any], context: StreamContext) -> dict[str, Any]:
    await context.emit("process", {"pid": os.getpid()})
    await asyncio.sleep(0.05)
    while not os.path.exists(payload["release"]):
        pass
    return {}


async def do_deaf(payload: dict[str, Any], context: StreamContext) -> dict[str, Any]:
    """Takes no notice of being cancelled."""
    await context.emit("process", {"pid": os.getpid()})
    while not os.path.exists(payload["release"]):
        try:
            await asyncio.sleep(0.005)
        except BaseException:
            pass
    return {}


async def do_flood(payload: dict[str, Any], context: StreamContext) -> dict[str, Any]:
    for number in range(payload["count"]):
        if number % 100 == 0:
            with open(payload["progress"], "w") as file:
                file.write(f"{number}\n")
        await context.emit_token(f"{number:07} and so much that buffers fill up a bit sooner than they would")
    return {"count": payload["count"]}


async def do_log(payload: dict[str, Any], context: StreamContext) -> dict[str, Any]:
    print("printed line")
    logging.getLogger("app.part").warning("logged line")
    warnings.warn("warned line", stacklevel=1)
    os.write(2, b"raw line\n")
    return {}


async def do_fail(payload: dict[str, Any], context: StreamContext) -> dict[str, Any]:
    raise ValueError("the secret text")


async def do_text(payload: dict[str, Any], context: StreamContext) -> dict[str, Any]:
    return "text"  # type: ignore[return-value]


async def do_exit(payload: dict[str, Any], context: StreamContext) -> dict[str, Any]:
    os._exit(payload["status"])


async def do_garbage(payload: dict[str, Any], context: StreamContext) -> dict[str, Any]:
    """Writes into what its process says to the server."""
    for name in os.listdir("/proc/self/fd"):
        try:
            if os.readlink(f"/proc/self/fd/{name}").startswith("socket:"):
                os.write(int(name), bytes(payload["bytes"]))
        except OSError:
            pass
    await asyncio.sleep(30)
    return {}


async def do_environment(payload: dict[str, Any], context: StreamContext) -> dict[str, Any]:
    return {name: os.environ.get(name) for name in payload["names"]}


async def do_echo(payload: dict[str, Any], context: StreamContext) -> dict[str, Any]:
    return {"payload": payload, "pid": os.getpid()}
