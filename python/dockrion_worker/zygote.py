"""The zygote: imports an agent once and forks workers that share its memory. `docs/python-channel.md` has its
packets."""

from __future__ import annotations

import array
import errno
import faulthandler
import gc
import importlib.util
import json
import os
import select
import signal
import socket
import stat
import sys
import threading
from collections.abc import Mapping
from typing import Any, NoReturn

from . import logs
from .agents import Agent
from .targets import ImportProblem, load
from .worker import Worker, describe

CONTROL = 3
PACKET_BYTES = 65_536
#: Bytes of a FATAL packet's traceback, so that it fits.
_TRACEBACK_BYTES = 24_000


class BadPacket(Exception):
    """The server has sent what no server sends."""


def prepare_process() -> tuple[logs.LineStream, logs.LineStream]:
    """Streams and faulthandler as zygote, workers and the one-shot commands have them."""
    streams = logs.install()
    faulthandler.enable(2)
    return streams


def left_behind(known: frozenset[int]) -> list[str]:
    """What an import has left that a fork would break: threads, sockets, databases. Descriptors of `known` are not
    its."""
    return [*_threads(), *_descriptors(known)]


def descriptors() -> frozenset[int]:
    """Open ones; without that by which they were listed."""
    try:
        numbers = [int(name) for name in os.listdir("/proc/self/fd")]
    except OSError:
        return frozenset()
    return frozenset(number for number in numbers if _is_open(number))


def _is_open(number: int) -> bool:
    try:
        os.fstat(number)
    except OSError:
        return False
    return True


def _threads() -> list[str]:
    main = threading.main_thread().native_id
    named = {each.native_id: each.name for each in threading.enumerate()}
    try:
        numbers = [int(name) for name in os.listdir("/proc/self/task")]
    except OSError:
        numbers = [number for number in named if number is not None]
    return [f"a second thread: {named.get(number) or _comm(number)}" for number in numbers if number != main]


def _comm(number: int) -> str:
    try:
        with open(f"/proc/self/task/{number}/comm") as file:
            return file.read().strip()
    except OSError:
        return "of a library"


def _descriptors(known: frozenset[int]) -> list[str]:
    found = []
    for number in sorted(descriptors() - known):
        try:
            mode = os.fstat(number).st_mode
            target = os.readlink(f"/proc/self/fd/{number}")
        except OSError:
            continue
        if stat.S_ISSOCK(mode):
            found.append(f"an open socket{_peer(number)}")
        elif stat.S_ISREG(mode) and _is_written_to(number):
            found.append(f"a file open for reading and writing: {target}")
    return found


def _peer(number: int) -> str:
    try:
        with socket.socket(fileno=os.dup(number)) as copy:
            peer = copy.getpeername()
            return f": to {peer[0]}:{peer[1]}" if isinstance(peer, tuple) else f": to {peer}" if peer else ""
    except OSError:
        return ""


def _is_written_to(number: int) -> bool:
    """Read and written, as databases are; not appended to, as logs are."""
    try:
        with open(f"/proc/self/fdinfo/{number}") as file:
            flags = next(int(line.split()[1], 8) for line in file if line.startswith("flags:"))
    except (OSError, StopIteration, ValueError):
        return False
    return flags & os.O_ACCMODE == os.O_RDWR and not flags & os.O_APPEND


class Zygote:
    def __init__(self, control: socket.socket) -> None:
        self._control = control
        self._environment = dict(os.environ)
        self._folder = os.getcwd()
        self._streams = prepare_process()
        self._agent: Agent | None = None
        self._workers: dict[int, int] = {}
        signal.signal(signal.SIGINT, signal.SIG_IGN)
        signal.signal(signal.SIGTERM, signal.SIG_DFL)
        if os.getpgrp() != os.getpid():
            os.setpgid(0, 0)

    def main(self, bare: Mapping[str, Any] | None) -> int:
        """The exit status: of the zygote, or in a child of the worker. `bare` is the start packet of a zygote that has
        executed itself anew."""
        try:
            if bare is not None:
                self._say_ready(bare["left"])
            elif not self._begin():
                return 1
            return self._serve()
        except BadPacket as problem:
            logs._write_all(2, f"dockrion_worker {os.getpid()}: bad packet: {problem}\n".encode())
            return 2

    def _begin(self) -> bool:
        start, got = self._receive()
        is_start = start.get("type") == "start" and start.get("v") == 1 and isinstance(start.get("agent"), dict)
        if got or not is_start:
            _close_all(got)
            raise BadPacket("the first one is no start of version 1 with an agent")
        preload = start.get("preload", "auto")
        if preload not in ("auto", "true", "false"):
            raise BadPacket(f"preload is {preload!r}, not auto, true or false")
        left: list[str] = []
        if preload != "false":
            known = descriptors()
            try:
                self._agent = load(start["agent"])
            except ImportProblem as problem:
                self._send(_fitting({"type": "fatal", **problem.fields}))
                return False
            left = left_behind(known) if preload == "auto" else []
            if left:
                self._execute_anew(left)
            if importlib.util.find_spec("uvloop") is not None:
                import uvloop  # noqa: F401
            gc.collect()
            gc.freeze()
        self._say_ready(left)
        return True

    def _execute_anew(self, left: list[str]) -> NoReturn:
        """A process without what the import has left: the same pid, the same descriptors, nothing imported."""
        os.chdir(self._folder)
        for number in descriptors():
            if number > CONTROL:
                try:
                    os.set_inheritable(number, False)
                except OSError:
                    pass
        os.set_inheritable(CONTROL, True)
        bare = json.dumps({"left": left})
        arguments = [sys.executable, "-u", "-X", "utf8", "-m", "dockrion_worker", "zygote", "--bare", bare]
        os.execve(sys.executable, arguments, self._environment)

    def _say_ready(self, left: list[str]) -> None:
        packet: dict[str, Any] = {
            "type": "ready",
            "v": 1,
            "pid": os.getpid(),
            "python": ".".join(map(str, sys.version_info[:3])),
            "preloaded": self._agent is not None,
            "left": left,
            "kind": None,
            "async": None,
            "in_memory_checkpointer": None,
            "warnings": [],
        }
        if self._agent is not None:
            packet.update(describe(self._agent))
        self._send(packet)

    def _serve(self) -> int:
        wake, waker = os.pipe()
        os.set_blocking(wake, False)
        os.set_blocking(waker, False)
        signal.signal(signal.SIGCHLD, lambda _number, _frame: None)
        signal.set_wakeup_fd(waker, warn_on_full_buffer=False)
        while True:
            readable, _, _ = select.select([self._control.fileno(), wake], [], [])
            if wake in readable:
                _empty(wake)
                self._reap()
            if self._control.fileno() in readable:
                packet, got = self._receive()
                if packet.get("type") != "fork" or not isinstance(packet.get("worker"), int) or len(got) != 3:
                    _close_all(got)
                    raise BadPacket(f"{str(packet)[:200]} with {len(got)} descriptors")
                if self._fork(packet["worker"], got):
                    signal.set_wakeup_fd(-1)
                    signal.signal(signal.SIGCHLD, signal.SIG_DFL)
                    _close_all([wake, waker])
                    self._control.close()
                    return self._become_worker(got)

    def _fork(self, number: int, got: list[int]) -> bool:
        """True in the child."""
        try:
            pid = os.fork()
        except OSError as problem:
            code = problem.errno or 0
            name = errno.errorcode.get(code, str(code))
            self._send({"type": "forked", "worker": number, "errno": code, "error": name})
            _close_all(got)
            return False
        if pid == 0:
            return True
        _close_all(got)
        self._workers[pid] = number
        self._send({"type": "forked", "worker": number, "pid": pid})
        return False

    def _become_worker(self, got: list[int]) -> int:
        stream, out, err = got
        os.dup2(out, 1, inheritable=True)
        os.dup2(err, 2, inheritable=True)
        _close_all([out, err])
        sys.setswitchinterval(0.001)
        random = getattr(sys.modules.get("numpy"), "random", None)
        if random is not None:
            # Python's own `random` is seeded anew by the fork.
            random.seed()
        return Worker(socket.socket(fileno=stream), self._agent, self._streams).main()

    def _reap(self) -> None:
        for pid, number in list(self._workers.items()):
            try:
                ended, status, usage = os.wait4(pid, os.WNOHANG)
            except ChildProcessError:
                # An agent's import has left a handler that waits for any child.
                ended, status, usage = pid, 0, None
            if ended:
                del self._workers[pid]
                peak = usage.ru_maxrss * 1024 if usage is not None else 0
                self._send({"type": "exited", "worker": number, "pid": pid, "status": status, "max_rss_bytes": peak})

    def _receive(self) -> tuple[dict[str, Any], list[int]]:
        """A packet and its descriptors. At the control socket's end the whole group ends."""
        flags = getattr(socket, "MSG_CMSG_CLOEXEC", 0)
        data, got, _, _ = _receive_descriptors(self._control, flags)
        if not data:
            _end_group()
        try:
            packet = json.loads(str(data, "utf-8"))
        except (ValueError, RecursionError):
            _close_all(got)
            raise BadPacket(f"{data[:200]!r} is no JSON") from None
        if not isinstance(packet, dict):
            _close_all(got)
            raise BadPacket(f"{data[:200]!r} is no object")
        return packet, got

    def _send(self, packet: Mapping[str, Any]) -> None:
        try:
            self._control.sendall(json.dumps(packet).encode())
        except OSError:
            _end_group()


def _receive_descriptors(control: socket.socket, flags: int) -> tuple[bytes, list[int], int, Any]:
    """As `socket.recv_fds`, which leaves descriptors beyond those expected open: here they are counted and closed."""
    numbers = array.array("i")
    room = socket.CMSG_SPACE(16 * numbers.itemsize)
    try:
        data, ancillary, got_flags, address = control.recvmsg(PACKET_BYTES, room, flags)
    except OSError:
        _end_group()
    for level, kind, raw in ancillary:
        if level == socket.SOL_SOCKET and kind == socket.SCM_RIGHTS:
            numbers.frombytes(raw[: len(raw) - len(raw) % numbers.itemsize])
    return data, list(numbers), got_flags, address


def _end_group() -> NoReturn:
    """The server is gone: no worker outlives it, not even one that holds the GIL."""
    os.killpg(0, signal.SIGKILL)
    os._exit(0)


def _close_all(numbers: list[int]) -> None:
    for number in numbers:
        os.close(number)


def _empty(descriptor: int) -> None:
    try:
        while os.read(descriptor, 4096):
            pass
    except BlockingIOError:
        pass


def _fitting(packet: dict[str, Any]) -> dict[str, Any]:
    """With so much of the traceback as a packet holds."""
    lines, size = [], 0
    for line in reversed(packet["traceback"]):
        size += len(json.dumps(line))
        if size > _TRACEBACK_BYTES:
            break
        lines.append(line)
    return {**packet, "traceback": lines[::-1]}


def main(bare: str | None) -> int:
    control = socket.socket(fileno=CONTROL)
    control.setblocking(True)
    return Zygote(control).main(None if bare is None else json.loads(bare))
