"""An import that leaves what `LEAVES` names."""

import os
import socket
import sqlite3
import threading
from typing import Any

what = os.environ["LEAVES"]
kept: list[Any] = []
if what == "thread":
    thread = threading.Thread(target=threading.Event().wait, name="poller", daemon=True)
    thread.start()
elif what == "socket":
    kept.append(socket.socket())
elif what == "database":
    kept.append(sqlite3.connect(os.environ["DATABASE"]))
elif what == "log":
    kept.append(open(os.environ["DATABASE"], "a"))  # noqa: SIM115

pid = os.getpid()


def handler(payload: dict[str, Any]) -> dict[str, Any]:
    return {"imported_here": pid == os.getpid(), "threads": threading.active_count(), "random": random_number()}


def random_number() -> float:
    import random

    return random.random()
