"""Threads of agents: pools that know which run a job is of, and the interruption of jobs whose run was cancelled.

A cancelled run's place is free when its last job has ended, so jobs are counted from their submission on.
"""

from __future__ import annotations

import asyncio
import ctypes
import heapq
import os
import signal
import sys
import threading
import time
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from types import FrameType
from typing import Any, TypeVar

from dockrion_events.context import current_context
from dockrion_events.errors import RunCancelled

from . import outlet as outlet_module
from .run import RunContext

_T = TypeVar("_T")

#: Code that no exception may interrupt: half a send would be half a frame.
_SHIELDED = os.path.abspath(outlet_module.__file__)
#: Seconds between two tries to interrupt what is in shielded code.
_RETRY = 0.005

_set_exception: Any = ctypes.pythonapi.PyThreadState_SetAsyncExc
_set_exception.argtypes = [ctypes.c_ulong, ctypes.py_object]
_set_exception.restype = ctypes.c_int


#: As an exception to raise: none, and what is pending is forgotten.
_NOTHING = ctypes.py_object()


class Job:
    """One call in a pool, for a run."""

    __slots__ = ("lock", "run", "thread")

    def __init__(self, run: RunContext) -> None:
        self.run = run
        #: The thread's number while the call runs there, else 0.
        self.thread = 0
        self.lock = threading.Lock()

    def perform(self, function: Callable[..., _T], arguments: Any, options: Any) -> _T:
        with self.lock:
            self.thread = threading.get_ident()
        try:
            return function(*arguments, **options)
        finally:
            # An interruption may arrive here at the latest: it comes once, and none comes after `thread` is 0.
            while self.thread:
                try:
                    with self.lock:
                        self.thread = 0
                except RunCancelled:
                    continue
            _set_exception(threading.get_ident(), _NOTHING)

    def interrupt(self) -> bool:
        """Raises `RunCancelled` in the call. False: it is where that must not be; later."""
        with self.lock:
            if not self.thread:
                return True
            frame = sys._current_frames().get(self.thread)
            if frame is None or _is_shielded(frame):
                return False
            _set_exception(self.thread, RunCancelled)
            return True


def _is_shielded(frame: FrameType | None) -> bool:
    while frame is not None:
        if frame.f_code.co_filename == _SHIELDED:
            return True
        frame = frame.f_back
    return False


class CountingExecutor(ThreadPoolExecutor):
    """A pool whose jobs are counted with the run in whose context they were submitted."""

    def __init__(self, threads: int, name: str, job_ended: Callable[[RunContext], None]) -> None:
        super().__init__(max_workers=threads, thread_name_prefix=name)
        self._job_ended = job_ended

    def submit(self, fn: Callable[..., _T], /, *args: Any, **kwargs: Any) -> Future[_T]:
        run = current_context.get()
        if not isinstance(run, RunContext):
            return super().submit(fn, *args, **kwargs)
        return self.submit_for(run, fn, *args, **kwargs)

    def submit_for(self, run: RunContext, fn: Callable[..., _T], /, *args: Any, **kwargs: Any) -> Future[_T]:
        job = Job(run)
        run.jobs.add(job)
        try:
            future: Future[_T] = super().submit(job.perform, fn, args, kwargs)
        except BaseException:
            run.jobs.discard(job)
            raise

        def ended(_future: Future[_T]) -> None:
            run.jobs.discard(job)
            self._job_ended(run)

        # Also where it is cancelled before it has begun.
        future.add_done_callback(ended)
        return future


class Interrupter:
    """Raises `RunCancelled` in what a cancelled run executes, once, when half of its grace is over."""

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self._loop = loop
        self._main = threading.get_ident()
        self._condition = threading.Condition()
        self._due: list[tuple[float, int, RunContext, float]] = []
        self._thread: threading.Thread | None = None
        #: The run that the main thread shall interrupt, at its next look.
        self._wanted: RunContext | None = None
        signal.signal(signal.SIGURG, self._on_signal)

    def schedule(self, run: RunContext, delay: float, patience: float) -> None:
        """In `delay` seconds; tried for `patience` seconds more."""
        now = time.monotonic()
        with self._condition:
            heapq.heappush(self._due, (now + delay, run.number, run, now + delay + patience))
            if self._thread is None:
                self._thread = threading.Thread(target=self._work, name="dockrion-interrupter", daemon=True)
                self._thread.start()
            self._condition.notify()

    def _work(self) -> None:
        while True:
            with self._condition:
                while not self._due:
                    self._condition.wait()
                pause = self._due[0][0] - time.monotonic()
                if pause > 0:
                    self._condition.wait(pause)
                    continue
                _, _, run, until = heapq.heappop(self._due)
            self._interrupt(run, until)

    def _interrupt(self, run: RunContext, until: float) -> None:
        if run.concluded:
            return
        left = [job for job in list(run.jobs) if not job.interrupt()]
        task = run.task
        if task is not None and not task.done():
            # A task that holds the loop is interrupted where it is; one that waits is cancelled once more.
            if asyncio.current_task(self._loop) is None:
                self._loop.call_soon_threadsafe(task.cancel)
            else:
                self._wanted = run
                signal.pthread_kill(self._main, signal.SIGURG)
                self._loop.call_soon_threadsafe(self._not_wanted, run)
        for job in left:
            while not job.interrupt() and time.monotonic() < until and not run.concluded:
                time.sleep(_RETRY)

    def _not_wanted(self, run: RunContext) -> None:
        """On the loop, which is not held then."""
        if self._wanted is run:
            self._wanted = None
            if run.task is not None:
                run.task.cancel()

    def _on_signal(self, _number: int, frame: FrameType | None) -> None:
        run = self._wanted
        if run is None or current_context.get() is not run:
            return
        if _is_shielded(frame):
            # In a moment it no longer is.
            threading.Timer(_RETRY, lambda: signal.pthread_kill(self._main, signal.SIGURG)).start()
            return
        self._wanted = None
        raise RunCancelled(run._cancel_reason or "the run was cancelled")
