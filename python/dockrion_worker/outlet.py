"""The way out: frames of all runs, from any thread, onto one socket.

Goals: a frame leaves at once when nothing else is leaving, bursts leave together, and no sender loses the GIL by
sending, since beside a thread that spins it would get it back a switch interval later. What the socket does not take at
once is left to the flusher's thread; `blocked` then asks emitters to wait.

`queue` lives as long as the process: appends and pops of a deque are atomic, so no frame is lost between threads.
"""

from __future__ import annotations

import ctypes
import errno
import os
import socket
import threading
import time
from collections import deque
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, Protocol

if TYPE_CHECKING:
    import asyncio

#: Seconds between two sends below which frames are collected …
_PAUSE = 0.0002
#: … unless so many wait, …
_FRAMES = 64
#: … and how many bytes are sent in one go.
_BYTES = 64 << 10
#: Seconds after which the flusher looks whether the event loop has sent its own: it may be held by an agent.
_BACKSTOP = 0.0015
#: Frames that may wait before logs do: beyond that, threads that log wait, and lines of the event loop are counted.
_LOGS = 16_384

_FLAGS = socket.MSG_DONTWAIT | getattr(socket, "MSG_NOSIGNAL", 0)


class Waiter(Protocol):
    """A run whose emits wait for the socket."""

    def wake(self) -> None: ...


def _make_send() -> Callable[[int, bytes, int, int], int]:
    """`send` that keeps the GIL: its call with MSG_DONTWAIT takes no time worth a switch."""
    library: Any = ctypes.PyDLL(None, use_errno=True)
    send = library.send
    send.argtypes = [ctypes.c_int, ctypes.c_char_p, ctypes.c_size_t, ctypes.c_int]
    send.restype = ctypes.c_ssize_t
    return send  # type: ignore[no-any-return]


_send = _make_send()


class Outlet:
    def __init__(self, stream: socket.socket) -> None:
        self.queue: deque[bytes] = deque()
        #: The socket is full: emitters wait until the flusher has sent what is left.
        self.blocked = False
        #: Runs to wake when it no longer is.
        self.waiting: set[Waiter] = set()
        self._stream = stream
        self._descriptor = stream.fileno()
        self._lock = threading.Lock()
        self._last = 0.0
        self._left: memoryview | None = None
        self._wake = threading.Semaphore(0)
        self._flush_wanted = False
        self._delay = _PAUSE
        self._tick_wanted = False
        self._loop: asyncio.AbstractEventLoop | None = None
        self._loop_thread = 0
        self._lost_logs = 0

    def start(self) -> None:
        threading.Thread(target=self._flush_forever, name="dockrion-flusher", daemon=True).start()

    def attach(self, loop: asyncio.AbstractEventLoop) -> None:
        """Called on the loop's thread, before it runs."""
        self._loop_thread = threading.get_ident()
        self._loop = loop

    def put(self, frame: bytes) -> None:
        self.queue.append(frame)
        self.nudge()

    def put_quietly(self, frame: bytes) -> None:
        """As `put`, but the sending is left to the flusher: from threads that an exception may interrupt."""
        self.queue.append(frame)
        self._wake_flusher(_PAUSE)

    def put_log(self, frame: bytes, quietly: bool) -> None:
        if len(self.queue) >= _LOGS:
            if threading.get_ident() == self._loop_thread:
                self._lost_logs += 1
                return
            while len(self.queue) >= _LOGS:
                time.sleep(0.001)
        if quietly:
            self.put_quietly(frame)
        else:
            self.put(frame)

    def take_lost_logs(self) -> int:
        """Lines that were counted only, since the last call."""
        lost, self._lost_logs = self._lost_logs, 0
        return lost

    def nudge(self) -> None:
        """Sees to it that what stands in `queue` is sent."""
        if time.monotonic() - self._last >= _PAUSE or len(self.queue) >= _FRAMES:
            self.drain()
        elif threading.get_ident() == self._loop_thread:
            if not self._tick_wanted and self._loop is not None:
                self._tick_wanted = True
                self._loop.call_soon(self._tick)
                self._wake_flusher(_BACKSTOP)
        else:
            self._wake_flusher(_PAUSE)

    def drain(self) -> None:
        """Sends what the socket takes. Whoever cannot get the lock leaves its frames to whom has it, who looks again
        after releasing it."""
        while self.queue and self._lock.acquire(False):
            handed_over = False
            try:
                handed_over = self._send_queued()
            finally:
                if not handed_over:
                    self._lock.release()
            if handed_over:
                return

    def disable(self) -> None:
        """In a child that an agent has forked: what it emits stays here, the socket is its parent's."""
        self._lock = threading.Lock()
        self._lock.acquire()

    def close(self) -> None:
        """Sends all that is queued, however long it takes."""
        while True:
            self.drain()
            if not self.queue and self._lock.acquire(timeout=0.01):
                self._lock.release()
                if not self.queue:
                    return

    def _tick(self) -> None:
        self._tick_wanted = False
        self.drain()

    def _wake_flusher(self, delay: float) -> None:
        if delay < self._delay:
            self._delay = delay
        if not self._flush_wanted:
            self._flush_wanted = True
            self._delay = delay
            self._wake.release()

    def _take(self) -> bytes:
        queue = self.queue
        frames = [queue.popleft()]
        size = len(frames[0])
        try:
            while size < _BYTES:
                frame = queue.popleft()
                frames.append(frame)
                size += len(frame)
        except IndexError:
            pass
        return b"".join(frames) if len(frames) > 1 else frames[0]

    def _send_queued(self) -> bool:
        """With the lock held. True: the lock now belongs to the flusher, who has `_left` to send."""
        while self.queue:
            data = self._take()
            sent = _send(self._descriptor, data, len(data), _FLAGS)
            while sent < 0:
                problem = ctypes.get_errno()
                if problem in (errno.EAGAIN, errno.EWOULDBLOCK):
                    sent = 0
                elif problem == errno.EINTR:
                    sent = _send(self._descriptor, data, len(data), _FLAGS)
                else:
                    # The server is gone, and with it whoever would read.
                    os._exit(0)
            if sent < len(data):
                self._left = memoryview(data)[sent:]
                self.blocked = True
                self._flush_wanted = True
                self._wake.release()
                return True
        self._last = time.monotonic()
        return False

    def _flush_forever(self) -> None:
        while True:
            self._wake.acquire()
            if self._left is None:
                time.sleep(self._delay)
                self._flush_wanted = False
                self.drain()
            if self._left is not None:
                self._send_left()

    def _send_left(self) -> None:
        left = self._left
        assert left is not None
        try:
            self._stream.sendall(left)
        except OSError:
            os._exit(0)
        self._left = None
        self._flush_wanted = False
        self.blocked = False
        self._last = time.monotonic()
        self._lock.release()
        self.drain()
        # A run that joins meanwhile looks at `blocked` once more.
        waiting = self.waiting
        while waiting:
            waiting.pop().wake()
