"""Plays the server: starts a zygote as `docs/python-channel.md` says, has workers forked, speaks frames."""

from __future__ import annotations

import array
import atexit
import contextlib
import fcntl
import functools
import json
import os
import signal
import socket
import struct
import sys
import threading
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

PACKAGES = Path(__file__).resolve().parent.parent
AGENTS = PACKAGES / "tests" / "agents"
DEADLINE = 20.0

HELLO, START, CANCEL, ACK, DRAIN, PING = range(1, 7)
READY, EVENT, DONE, FAIL, CANCELLED, LOG, PONG, FATAL = range(0x41, 0x49)
CRITICAL = 50
KINDS = {0: "custom", 1: "token", 2: "step", 3: "progress", 4: "checkpoint"}

Json = dict[str, Any]


def header(length: int, kind: int, a: int = 0, b: int = 0, run: int = 0) -> bytes:
    return struct.pack("<IBBHI", length, kind, a, b, run)


def frame(kind: int, run: int = 0, payload: bytes = b"") -> bytes:
    return header(len(payload), kind, 0, 0, run) + payload


def start_frame(run: int, payload: Any = None, *, mode: str = "run", **more: Any) -> bytes:
    head = json.dumps({"run_id": f"run-{run}", "request_id": None, "identity": None, "mode": mode, **more}).encode()
    raw = payload if isinstance(payload, bytes) else json.dumps({} if payload is None else payload).encode()
    return frame(START, run, struct.pack("<I", len(head)) + head + raw)


@dataclass
class Frame:
    kind: int
    a: int
    b: int
    run: int
    payload: bytes
    at: float

    @property
    def json(self) -> Json:
        value = json.loads(self.payload)
        assert isinstance(value, dict)
        return value

    @property
    def name(self) -> str:
        return self.payload[: self.a].decode() if self.b == 0 else KINDS[self.b]

    @property
    def fields(self) -> Json:
        """An event's members."""
        assert self.kind == EVENT
        assert min(self.payload, default=32) >= 0x20
        value = json.loads(b"{" + self.payload[self.a :] + b"}")
        assert isinstance(value, dict)
        return value

    @property
    def event(self) -> tuple[str, Json]:
        return self.name, self.fields

    @property
    def logger(self) -> str:
        return self.payload[: self.b].decode()

    @property
    def line(self) -> str:
        return self.payload[self.b :].decode()


class Pipe:
    """Collects what is written to a descriptor."""

    def __init__(self) -> None:
        self.read_end, self.write_end = os.pipe()
        self.data = b""
        self._thread = threading.Thread(target=self._read, daemon=True)

    def begin(self) -> None:
        os.close(self.write_end)
        self._thread.start()

    def _read(self) -> None:
        while chunk := os.read(self.read_end, 65536):
            self.data += chunk
        os.close(self.read_end)

    def whole(self) -> str:
        self._thread.join(DEADLINE)
        return self.data.decode()


def wait_until(condition: Callable[[], Any], what: str, deadline: float = DEADLINE) -> Any:
    end = time.monotonic() + deadline
    while not (value := condition()):
        if time.monotonic() > end:
            raise AssertionError(f"not within {deadline} s: {what}")
        time.sleep(0.002)
    return value


class Worker:
    """The server's end of one worker."""

    def __init__(self, zygote: Zygote, number: int) -> None:
        self.zygote = zygote
        self.number = number
        self.socket, self.far = socket.socketpair(socket.AF_UNIX, socket.SOCK_STREAM)
        self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 1 << 20)
        self.out, self.err = Pipe(), Pipe()
        self.pid = 0
        self.frames: list[Frame] = []
        self.by_run: dict[int, list[Frame]] = {}
        self.closed = False
        #: Acknowledges by itself, at a quarter of the window.
        self.acknowledging = True
        self.window = 1024
        self.changed = threading.Condition()
        self._received: dict[int, int] = {}
        self._acked: dict[int, int] = {}
        self._send_lock = threading.Lock()
        self._ack_lock = threading.Lock()
        self.reading = threading.Event()
        self.reading.set()
        self._thread = threading.Thread(target=self._read, daemon=True)

    def begin(self, pid: int) -> None:
        self.pid = pid
        self.far.close()
        self.out.begin()
        self.err.begin()
        self._thread.start()

    # Frames in.

    def _read(self) -> None:
        buffer = b""
        while True:
            self.reading.wait()
            try:
                data = self.socket.recv(262144)
            except OSError:
                data = b""
            if not data:
                break
            buffer += data
            at, now = 0, time.monotonic()
            new = []
            while len(buffer) - at >= 12:
                length, kind, a, b, run = struct.unpack_from("<IBBHI", buffer, at)
                if len(buffer) - at < 12 + length:
                    break
                new.append(Frame(kind, a, b, run, buffer[at + 12 : at + 12 + length], now))
                at += 12 + length
            buffer = buffer[at:]
            with self.changed:
                for each in new:
                    self.frames.append(each)
                    self.by_run.setdefault(each.run, []).append(each)
                    if each.kind == EVENT:
                        self._received[each.run] = self._received.get(each.run, 0) + 1
                self.changed.notify_all()
            if self.acknowledging:
                self.acknowledge_all(self.window // 4)
        with self.changed:
            self.closed = True
            self.rest = buffer
            self.changed.notify_all()

    def acknowledge_all(self, least: int = 1) -> None:
        with self._ack_lock:
            for run, count in list(self._received.items()):
                if count - self._acked.get(run, 0) >= max(1, least):
                    self._acked[run] = count
                    with contextlib.suppress(OSError):
                        self.ack(run, count)

    # Frames out.

    def send(self, data: bytes) -> None:
        with self._send_lock:
            self.socket.sendall(data)

    def hello(self, **settings: Any) -> None:
        self.window = settings.get("window", 1024)
        self.send(frame(HELLO, 0, json.dumps({"v": 1, "agent": self.zygote.agent, **settings}).encode()))

    def start(self, run: int, payload: Any = None, **more: Any) -> None:
        self.send(start_frame(run, payload, **more))

    def cancel(self, run: int, reason: str = "") -> None:
        self.send(frame(CANCEL, run, reason.encode()))

    def ack(self, run: int, count: int) -> None:
        self.send(frame(ACK, run, struct.pack("<I", count & 0xFFFFFFFF)))

    def drain(self) -> None:
        self.send(frame(DRAIN))

    def ping(self, number: int) -> None:
        self.send(frame(PING, 0, struct.pack("<Q", number)))

    # What came.

    def wait(self, condition: Callable[[], Any], what: str, deadline: float = DEADLINE) -> Any:
        end = time.monotonic() + deadline
        with self.changed:
            while not (value := condition()):
                left = end - time.monotonic()
                if left <= 0 or (self.closed and not condition()):
                    shown = [(each.kind, each.run, each.payload[:300]) for each in self.frames[-10:]]
                    raise AssertionError(f"{what}: closed={self.closed}, {shown}, {self.err.data.decode()[-2000:]}")
                self.changed.wait(left)
            return value

    def ready(self) -> Json:
        found = self.wait(lambda: [each for each in self.frames if each.kind == READY], "READY")
        return dict(found[0].json)

    def terminal(self, run: int, deadline: float = DEADLINE) -> Frame:
        ends = (DONE, FAIL, CANCELLED)
        found = self.wait(
            lambda: [each for each in self.by_run.get(run, ()) if each.kind in ends], f"the end of run {run}", deadline
        )
        assert len(found) == 1
        assert isinstance(found[0], Frame)
        return found[0]

    def output(self, run: int) -> Json:
        end = self.terminal(run)
        assert end.kind == DONE, end.payload
        return end.json

    def failure(self, run: int) -> Json:
        end = self.terminal(run)
        assert end.kind == FAIL, end
        return end.json

    def events(self, run: int) -> list[tuple[str, Json]]:
        return [each.event for each in self.by_run.get(run, ()) if each.kind == EVENT]

    def wait_events(self, run: int, count: int, deadline: float = DEADLINE) -> list[tuple[str, Json]]:
        self.wait(lambda: len(self.events_raw(run)) >= count, f"{count} events of run {run}", deadline)
        return self.events(run)

    def events_raw(self, run: int) -> list[Frame]:
        return [each for each in self.by_run.get(run, ()) if each.kind == EVENT]

    def logs(self, run: int) -> list[tuple[int, str, str]]:
        return [(each.a, each.logger, each.line) for each in self.by_run.get(run, ()) if each.kind == LOG]

    def run(self, number: int, payload: Any = None, **more: Any) -> tuple[list[tuple[str, Json]], Json]:
        """One run to its end: events, output."""
        self.start(number, payload, **more)
        output = self.output(number)
        return self.events(number), output

    def wait_closed(self) -> None:
        self.wait(lambda: self.closed, "the end of the socket")


class Zygote:
    def __init__(
        self,
        folder: Path,
        agent: Mapping[str, Any],
        preload: str = "auto",
        environment: Mapping[str, str] | None = None,
        python: str = sys.executable,
        paths: Iterable[str] = (),
    ) -> None:
        self.agent = dict(agent)
        ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        self.control = ours
        self.out, self.err = Pipe(), Pipe()
        self.packets: list[Json] = []
        self.workers: list[Worker] = []
        self._numbers = 0
        # Beyond what dup2 writes to.
        far = [
            fcntl.fcntl(each, fcntl.F_DUPFD_CLOEXEC, 100)
            for each in (self.out.write_end, self.err.write_end, theirs.fileno())
        ]
        whole = {**os.environ, **(environment or {})}
        whole["PYTHONPATH"] = os.pathsep.join([str(PACKAGES), *paths])
        here = os.getcwd()
        try:
            os.chdir(folder)
            self.pid = os.posix_spawn(
                python,
                [python, "-u", "-X", "utf8", "-m", "dockrion_worker", "zygote"],
                whole,
                file_actions=[
                    (os.POSIX_SPAWN_OPEN, 0, "/dev/null", os.O_RDONLY, 0),
                    (os.POSIX_SPAWN_DUP2, far[0], 1),
                    (os.POSIX_SPAWN_DUP2, far[1], 2),
                    (os.POSIX_SPAWN_DUP2, far[2], 3),
                ],
                setpgroup=0,
                setsigmask=[],
                setsigdef=[signal.SIGINT, signal.SIGPIPE, signal.SIGTERM],
            )
        finally:
            os.chdir(here)
        for each in far:
            os.close(each)
        theirs.close()
        self.out.begin()
        self.err.begin()
        self.send({"type": "start", "v": 1, "agent": self.agent, "preload": preload})

    def send(self, packet: Mapping[str, Any], descriptors: list[int] | None = None) -> None:
        rights = [(socket.SOL_SOCKET, socket.SCM_RIGHTS, array.array("i", descriptors))] if descriptors else []
        self.control.sendmsg([json.dumps(packet).encode()], rights)

    def receive(self, deadline: float = DEADLINE) -> Json | None:
        """The next packet; None at the end."""
        self.control.settimeout(deadline)
        data = self.control.recv(1 << 17)
        if not data:
            return None
        packet = json.loads(data)
        assert isinstance(packet, dict)
        self.packets.append(packet)
        return packet

    def wait_for(self, kind: str, **fields: Any) -> Json:
        """A packet of a type, with these fields; others are kept."""
        for packet in self.packets:
            if packet["type"] == kind and fields.items() <= packet.items():
                return packet
        while True:
            packet_or_end = self.receive()
            assert packet_or_end is not None, self.err.data.decode()
            if packet_or_end["type"] == kind and fields.items() <= packet_or_end.items():
                return packet_or_end

    def fork(self) -> Worker:
        self._numbers += 1
        worker = Worker(self, self._numbers)
        self.send(
            {"type": "fork", "worker": worker.number}, [worker.far.fileno(), worker.out.write_end, worker.err.write_end]
        )
        worker.begin(self.wait_for("forked", worker=worker.number)["pid"])
        self.workers.append(worker)
        return worker

    def worker(self, **settings: Any) -> Worker:
        """One that is ready."""
        worker = self.fork()
        worker.hello(**settings)
        worker.ready()
        return worker

    def close(self) -> None:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(self.pid, signal.SIGKILL)
        os.waitpid(self.pid, 0)
        self.control.close()
        for worker in self.workers:
            worker.socket.close()


@contextlib.contextmanager
def zygote(folder: Path, agent: Mapping[str, Any], **options: Any) -> Iterator[Zygote]:
    started = Zygote(folder, agent, **options)
    try:
        yield started
    finally:
        started.close()


@contextlib.contextmanager
def running(folder: Path, agent: Mapping[str, Any], **settings: Any) -> Iterator[Worker]:
    """A worker that is ready. Those whose agents are of the tests' own folder come from one zygote."""
    if folder == AGENTS:
        worker = shared().worker(agent=dict(agent), **settings)
        try:
            yield worker
        finally:
            with contextlib.suppress(OSError):
                worker.socket.shutdown(socket.SHUT_RDWR)
            shared().wait_for("exited", worker=worker.number)
            shared().workers.remove(worker)
            worker.socket.close()
        return
    with zygote(folder, agent) as started:
        started.wait_for("ready")
        yield started.worker(**settings)


@functools.cache
def shared() -> Zygote:
    """A zygote that has imported libraries and no agent: its workers import theirs."""
    started = Zygote(AGENTS, {}, preload="false", paths=[str(PACKAGES / "tests" / "preloaded")])
    atexit.register(started.close)
    started.wait_for("ready")
    return started
