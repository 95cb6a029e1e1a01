"""Reads an event stream with one of the clients that people use, and prints what that client makes of it.

    decode.py httpx-sse|openai|aiosseclient URL

One line of JSON an event: its type, its id and its data, which is decoded as JSON as users of these clients do it.
"""

import asyncio
import json
import sys

import httpx
from aiosseclient import aiosseclient  # type: ignore[import-untyped]
from httpx_sse import connect_sse
from openai._streaming import SSEDecoder

SILENCE_SECONDS = 20.0


def show(kind: str | None, identity: str | None, data: object) -> None:
    print(json.dumps({"type": kind, "id": identity, "data": data}), flush=True)


def with_httpx_sse(url: str) -> None:
    with httpx.Client(timeout=SILENCE_SECONDS) as client, connect_sse(client, "GET", url) as source:
        for event in source.iter_sse():
            show(event.event, event.id, event.json())


def with_openai(url: str) -> None:
    with httpx.stream("GET", url, timeout=SILENCE_SECONDS) as response:
        for event in SSEDecoder().iter_bytes(response.iter_bytes()):
            show(event.event, event.id, event.json())


def with_aiosseclient(url: str) -> None:
    async def read() -> None:
        async for event in aiosseclient(url, timeout_total=SILENCE_SECONDS):
            show(event.event, event.id, json.loads(event.data))

    asyncio.run(read())


CLIENTS = {"httpx-sse": with_httpx_sse, "openai": with_openai, "aiosseclient": with_aiosseclient}

if __name__ == "__main__":
    CLIENTS[sys.argv[1]](sys.argv[2])
