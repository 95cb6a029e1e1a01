"""A run's context in a worker: emits that become frames, and the credits that hold an agent back to its clients' pace.

A run may have `window` events under way. Two absolute counters say how many are: `_sent`, written by emits, and
`_acked`, written by the reader's thread. `_gate` is what `_sent` must be below: the window's end, or -1 while nothing
may pass.
"""

from __future__ import annotations

import asyncio
import logging
import struct
import threading
import types
from collections import deque
from collections.abc import Callable, Generator, Mapping
from typing import TYPE_CHECKING, Any, TypeVar

from dockrion_events.context import Identity, StreamContext, make_event
from dockrion_events.conversion import encode, escape
from dockrion_events.errors import RunCancelled
from dockrion_events.models import BaseEvent, TokenEvent
from dockrion_events.words import KINDS

from . import frames

if TYPE_CHECKING:
    from .outlet import Outlet
    from .settings import Settings

_logger = logging.getLogger("dockrion.agent")
_T = TypeVar("_T")
_U32_MASK = 0xFFFFFFFF
_EVENT_HEADER = struct.Struct("<IBBHI")

LIVE, CANCELLED, ENDED = 0, 1, 2


@types.coroutine
def _yield_once() -> Generator[None, None, None]:
    yield


class RunContext(StreamContext):
    """What an agent gets as `context`."""

    def __init__(
        self,
        number: int,
        start: Mapping[str, Any],
        settings: Settings,
        outlet: Outlet,
        call_in_thread: Callable[[Callable[[], Any]], asyncio.Future[Any]],
    ) -> None:
        self.number = number
        self._run_id = str(start["run_id"])
        self._request_id: str | None = start.get("request_id")
        self._identity = _identity(start.get("identity"))
        self.mode = str(start.get("mode", "run"))
        self.conversation_id: str | None = start.get("conversation_id")
        self._events_filter = settings.filter
        self._settings = settings
        self._outlet = outlet
        self._call_in_thread = call_in_thread
        self._mute = self.mode == "invoke"
        self._tokens_pass = not self._mute and settings.filter.allows_tokens
        self._token_head = frames.head(frames.EVENT, number, 0, KINDS["token"])
        self._lock = threading.Lock()
        self._state = LIVE
        self._sent = 0
        self._acked = 0
        self._gate = settings.window
        self._turn = 0
        self._told_late = False
        # Emits that wait: threads by the condition, coroutines by futures.
        self._room: threading.Condition | None = None
        self._futures: list[asyncio.Future[None]] = []
        # What synchronous emits on the loop's thread have run ahead, and the frame that ends the run behind it.
        self._ahead: deque[bytes] | None = None
        self._ahead_bytes = 0
        self._terminal: bytes | None = None
        self.too_fast = False
        self._cancel_reason: str | None = None
        # The worker's bookkeeping.
        self.task: asyncio.Task[bytes] | None = None
        self.jobs: set[Any] = set()
        #: Takes the run out of the queue for a thread. False: it has one.
        self.cancel_job: Callable[[], bool] | None = None
        self.concluded = False
        self._held: bytes | None = None

    # What the agent reads.

    @property
    def request_id(self) -> str | None:
        return self._request_id

    @property
    def identity(self) -> Identity | None:
        return self._identity

    @property
    def is_cancelled(self) -> bool:
        return self._state == CANCELLED or self._cancel_reason is not None

    @property
    def queue_mode(self) -> bool:
        return False

    def drain_queued_events(self) -> list[BaseEvent]:
        """Nothing: the events have left."""
        return []

    def has_queued_events(self) -> bool:
        return False

    def queue_size(self) -> int:
        return 0

    # Emits.

    def sync_emit_token(self, content: str, finish_reason: str | None = None) -> bool:
        if not (self._tokens_pass or self._state) and type(content) is str and finish_reason is None:
            return False
        if not isinstance(content, str) or (finish_reason is not None and not isinstance(finish_reason, str)):
            super().sync_emit_token(content, finish_reason)  # which says what is wrong
        if not self._tokens_pass:
            return self._late() if self._state else False
        frame = self._token_frame(content, finish_reason)
        with self._lock:
            if self._sent < self._gate and not self._outlet.blocked:
                self._sent += 1
                self._outlet.queue.append(frame)
                posted = True
            else:
                posted = False
        if posted:
            self._outlet.nudge()
            return True
        return self._post_slowly(frame)

    async def emit_token(self, content: str, finish_reason: str | None = None) -> BaseEvent | None:
        if not isinstance(content, str) or (finish_reason is not None and not isinstance(finish_reason, str)):
            super().sync_emit_token(content, finish_reason)
        self._turn = turn = self._turn + 1
        if not turn & 63:
            await _yield_once()
        if not self._tokens_pass:
            if self._state:
                await self._late_async()
            return None
        frame = self._token_frame(content, finish_reason)
        with self._lock:
            if self._sent < self._gate and not self._outlet.blocked:
                self._sent += 1
                self._outlet.queue.append(frame)
                posted = True
            else:
                posted = False
        if posted:
            self._outlet.nudge()
        elif not await self._post_waiting(frame):
            return None
        return TokenEvent._quick(
            {"type": "token", "run_id": self._run_id, "sequence": 0, "content": content, "finish_reason": finish_reason}
        )

    def passes(self, event_type: str) -> bool:
        """Whether an event of this name leaves the worker."""
        return not self._mute and self._settings.filter.is_allowed(event_type)

    def _send(self, event_type: str, fields: dict[str, Any]) -> bool:
        if not self.passes(event_type):
            return self._late() if self._state else False
        if self._state:
            return self._late()
        return self._post(self._event_frame(event_type, fields))

    async def _send_async(self, event_type: str, fields: dict[str, Any]) -> BaseEvent | None:
        self._turn = turn = self._turn + 1
        if not turn & 63:
            await _yield_once()
        if self._state:
            await self._late_async()
            return None
        if not self.passes(event_type):
            return None
        frame = self._event_frame(event_type, fields)
        if not self._try_post(frame) and not await self._post_waiting(frame):
            return None
        return make_event(event_type, self._run_id, fields)

    def _token_frame(self, content: str, finish_reason: str | None) -> bytes:
        if finish_reason is None:
            text = '"content":' + escape(content)
        else:
            text = '"content":' + escape(content) + ',"finish_reason":' + escape(finish_reason)
        body = text.encode("utf-8", "backslashreplace")
        if len(body) > self._settings.event_bytes:
            self._refuse_size("token", len(body))
        return frames.pack_length(len(body)) + self._token_head + body

    def _event_frame(self, event_type: str, fields: dict[str, Any]) -> bytes:
        body = encode(fields)[1:-1]
        if len(body) > self._settings.event_bytes:
            self._refuse_size(event_type, len(body))
        kind = KINDS.get(event_type, 0)
        name = b"" if kind else event_type.encode("ascii")
        return _EVENT_HEADER.pack(len(name) + len(body), frames.EVENT, len(name), kind, self.number) + name + body

    def _refuse_size(self, event_type: str, size: int) -> None:
        raise ValueError(f"the event {event_type!r} has {size} bytes, at most {self._settings.event_bytes} are allowed")

    # Credits.

    def _try_post(self, frame: bytes) -> bool:
        with self._lock:
            if self._sent >= self._gate or self._outlet.blocked:
                return False
            self._sent += 1
            self._outlet.queue.append(frame)
        self._outlet.nudge()
        return True

    def _post(self, frame: bytes) -> bool:
        return self._try_post(frame) or self._post_slowly(frame)

    def _post_slowly(self, frame: bytes) -> bool:
        """Of a synchronous emit that finds no room: waits for it, or runs ahead on the loop's thread."""
        if threading.get_ident() == self._settings.loop_thread:
            return self._post_ahead(frame)
        outlet = self._outlet
        with self._lock:
            if self._room is None:
                self._room = threading.Condition(self._lock)
            while not self._state:
                if self._sent < self._gate and not self._waits_for_socket():
                    break
                self._room.wait()
            posted = not self._state
            if posted:
                self._sent += 1
                outlet.queue.append(frame)
        if not posted:
            return self._late()
        outlet.nudge()
        return True

    async def _post_waiting(self, frame: bytes) -> bool:
        """Of an awaited emit that finds no room. False: the run has ended meanwhile."""
        outlet = self._outlet
        loop = asyncio.get_running_loop()
        while True:
            with self._lock:
                if self._state:
                    break
                if self._sent < self._gate and not self._waits_for_socket():
                    self._sent += 1
                    outlet.queue.append(frame)
                    posted = True
                else:
                    posted = False
                    future = loop.create_future()
                    self._futures.append(future)
            if posted:
                outlet.nudge()
                return True
            try:
                await future
            except BaseException:
                with self._lock:
                    if future in self._futures:
                        self._futures.remove(future)
                raise
        await self._late_async()
        return False

    def _post_ahead(self, frame: bytes) -> bool:
        with self._lock:
            if self._state:
                late = True
            else:
                late = False
                if self._ahead is None:
                    self._ahead = deque()
                    self._gate = -1
                self._ahead_bytes += len(frame)
                if self._ahead_bytes > self._settings.ahead_bytes:
                    self.too_fast = True
                    self._state = CANCELLED
                else:
                    self._ahead.append(frame)
                    self._advance()
        if late:
            return self._late()
        if self.too_fast:
            if self.task is not None:
                self.task.cancel()
            raise RunCancelled(
                f"AGENT_TOO_FAST: synchronous emits on the event loop's thread are {self._settings.ahead_bytes} bytes "
                "ahead of the client; use `await context.emit…`"
            )
        self._outlet.nudge()
        return True

    def _waits_for_socket(self) -> bool:
        """Whether the socket is full; `wake` is called then when it no longer is."""
        outlet = self._outlet
        if not outlet.blocked:
            return False
        outlet.waiting.add(self)
        if outlet.blocked:
            return True
        outlet.waiting.discard(self)
        return False

    def _advance(self) -> None:
        """With the lock held: sends on what has run ahead, as far as there is room."""
        ahead = self._ahead
        if ahead is not None:
            limit = self._acked + self._settings.window
            queue = self._outlet.queue
            while ahead and self._sent < limit and not self._waits_for_socket():
                frame = ahead.popleft()
                self._ahead_bytes -= len(frame)
                self._sent += 1
                queue.append(frame)
            if ahead:
                return
            self._ahead = None
        if self._state == LIVE:
            self._gate = self._acked + self._settings.window

    def acknowledge(self, count: int) -> bool:
        """Of the reader's thread: events that were passed on, modulo 2³². True: the run's last frame may go now."""
        with self._lock:
            more = (count - self._acked) & _U32_MASK
            if more > _U32_MASK // 2:
                # Less than was said before: it says nothing new.
                return False
            if more > self._sent - self._acked:
                raise frames.BadFrame(f"ACK of run {self.number} says {count}, sent are {self._sent & _U32_MASK}")
            self._acked += more
            self._advance()
            self._wake_waiting()
            ready = self._terminal is not None and self._ahead is None
        self._outlet.nudge()
        return ready

    def wake(self) -> None:
        """Of the flusher's thread: the socket takes frames again."""
        with self._lock:
            self._advance()
            self._wake_waiting()
            ready = self._terminal is not None and self._ahead is None
        self._outlet.nudge()
        if ready:
            self._settings.release(self)

    def _wake_waiting(self) -> None:
        if self._room is not None:
            self._room.notify_all()
        if self._futures:
            futures, self._futures = self._futures, []
            for future in futures:
                future.get_loop().call_soon_threadsafe(_resolve, future)

    # The end.

    def cancel(self, reason: str) -> None:
        """Of the reader's thread: no event leaves any more; emits that wait raise."""
        with self._lock:
            self._cancel_reason = reason
            if self._state == LIVE:
                self._state = CANCELLED
            self._gate = -1
            self._ahead = None
            self._ahead_bytes = 0
            self._wake_waiting()

    def end(self, frame: bytes) -> bool:
        """The agent has ended; `frame` says how. True: it may go now. False: it waits for what has run ahead."""
        with self._lock:
            if self._state == LIVE or self.too_fast:
                self._state = ENDED
            self._gate = -1
            self._terminal = frame
            self._wake_waiting()
            return self._ahead is None

    @property
    def ended(self) -> bool:
        """Whether the agent has ended, and only the run's last frame waits."""
        return self._terminal is not None

    def hold(self, frame: bytes) -> None:
        """Keeps the frame that ends the run until `take_held` gives it."""
        with self._lock:
            self._held = frame

    def take_held(self) -> bytes | None:
        """That frame, once; of a cancelled run only when its last job has ended."""
        with self._lock:
            if self._held is None or (self._cancel_reason is not None and self.jobs):
                return None
            frame, self._held = self._held, None
            return frame

    def take_terminal(self) -> bytes | None:
        """The frame that ends the run, once."""
        with self._lock:
            frame, self._terminal = self._terminal, None
            self._state = ENDED
            return frame

    def _late(self) -> bool:
        if self._state == CANCELLED:
            raise RunCancelled(self._cancel_reason or "the run was cancelled")
        self._tell_late()
        return False

    async def _late_async(self) -> None:
        if self._state == CANCELLED:
            # The task's cancellation arrives here; an agent that cleans up behind it goes on.
            await _yield_once()
            if self.too_fast:
                raise RunCancelled("AGENT_TOO_FAST")
        else:
            self._tell_late()

    def _tell_late(self) -> None:
        if not self._told_late:
            self._told_late = True
            _logger.warning("run %s has ended: what its context emits from here on is dropped", self._run_id)

    def __copy__(self) -> RunContext:
        return self

    def __deepcopy__(self, _memo: Any) -> RunContext:
        # Libraries copy their configs, with what an agent has put there.
        return self

    def call_in_thread(self, function: Callable[[], _T]) -> asyncio.Future[_T]:
        """Runs `function` in the pool of synchronous handlers, with this context current."""
        return self._call_in_thread(function)


def _resolve(future: asyncio.Future[None]) -> None:
    if not future.done():
        future.set_result(None)


def _identity(fields: Mapping[str, Any] | None) -> Identity | None:
    if not isinstance(fields, Mapping):
        return None
    return Identity(
        subject=str(fields.get("subject", "")),
        tenant=fields.get("tenant"),
        roles=tuple(fields.get("roles") or ()),
        permissions=tuple(fields.get("permissions") or ()),
        expires_at=fields.get("expires_at"),
    )
