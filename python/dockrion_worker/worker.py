"""A worker: reads frames on a thread of its own, runs agents on the event loop and in two pools, sends frames."""

from __future__ import annotations

import asyncio
import contextvars
import gc
import importlib.util
import json
import logging
import os
import socket
import sys
import threading
import time
import traceback
from collections.abc import Callable, Coroutine
from concurrent.futures import Future
from typing import Any

from dockrion_events.context import current_context
from dockrion_events.conversion import encode
from dockrion_events.errors import RunCancelled

from . import frames, logs, outcomes
from .agents import Agent, InvalidOutput, InvalidPayload, finish, needs_loop
from .executors import CountingExecutor, Interrupter
from .outlet import Outlet
from .run import RunContext
from .settings import Settings
from .targets import ImportProblem, load

#: Milliseconds for which the event loop may not answer before its stack is logged.
_HANG_MS = 2000
#: Seconds that the interpreter's own exit may take behind DRAIN.
_EXIT_SECONDS = 5.0
#: Seconds for which an interruption is tried at least: a thread may be where it must not be interrupted.
_PATIENCE = 5.0

_agent_log = logging.getLogger("dockrion.agent")
_log = logging.getLogger("dockrion.worker")


class Worker:
    """One process's runs. `agent` is None where the worker imports it itself, behind HELLO."""

    def __init__(
        self, stream: socket.socket, agent: Agent | None, streams: tuple[logs.LineStream, logs.LineStream]
    ) -> None:
        self._stream = stream
        self._agent = agent
        self._streams = streams
        self._outlet = Outlet(stream)
        self._hello = threading.Event()
        self._settings: Settings | None = None
        self._expose = False
        self._runs: dict[int, RunContext] = {}
        self._runs_lock = threading.Lock()
        self._draining = False
        self._ready = threading.Event()
        self._loop: asyncio.AbstractEventLoop | None = None
        # Of the loop's age: when it was last asked and has not answered.
        self._asked_at: float | None = None
        self._told_hang = False
        self._loop_thread = threading.get_ident()

    def main(self) -> int:
        """Runs on the main thread until DRAIN. The exit status."""
        _enlarge(self._stream)
        logs.set_sink(self)
        os.register_at_fork(after_in_child=self._in_agents_child)
        self._outlet.start()
        threading.Thread(target=self._read_forever, name="dockrion-reader", daemon=True).start()
        self._hello.wait()
        settings = self._settings
        assert settings is not None
        logging.getLogger().setLevel(settings.log_level)
        self._expose = settings.expose_errors
        if self._agent is None:
            try:
                self._agent = load(settings.agent)
            except ImportProblem as problem:
                self._outlet.put(frames.frame(frames.FATAL, 0, encode(problem.fields)))
                self._outlet.close()
                return 1
            # As the zygote does: collections need not look at what stays.
            gc.collect()
            gc.freeze()
        self._start_loop(settings)
        return self._run_forever()

    def _in_agents_child(self) -> None:
        """A process that an agent forks does not speak to the server; what it prints goes to the descriptors."""
        logs.set_sink(None)
        self._outlet.disable()
        self._stream.close()

    def _start_loop(self, settings: Settings) -> None:
        loop = _new_loop(settings.event_loop)
        asyncio.set_event_loop(loop)
        self._loop = loop
        settings.loop_thread = threading.get_ident()
        settings.release = self._release
        self._outlet.attach(loop)
        self._handlers = CountingExecutor(settings.threads, "dockrion-handler", self._job_ended)
        loop.set_default_executor(CountingExecutor(settings.threads, "dockrion-executor", self._job_ended))
        self._interrupter = Interrupter(loop)
        agent = self._agent
        assert agent is not None
        self._outlet.put(frames.frame(frames.READY, 0, encode({"v": 1, "pid": os.getpid(), **describe(agent)})))
        self._ready.set()

    def _run_forever(self) -> int:
        loop = self._loop
        assert loop is not None
        while True:
            try:
                loop.run_forever()
                break
            except (SystemExit, KeyboardInterrupt, RunCancelled) as problem:
                # Of a task that an agent started itself; its run has it as an exception already.
                _agent_log.warning("%s in a task: it ends the task, not the process", type(problem).__name__)
        self._outlet.close()
        watch = threading.Timer(_EXIT_SECONDS, lambda: os._exit(0))
        watch.daemon = True
        watch.start()
        return 0

    # Frames in.

    def _read_forever(self) -> None:
        reader = frames.FrameReader()
        try:
            while True:
                try:
                    data = self._stream.recv(256 << 10)
                except InterruptedError:
                    continue
                except OSError:
                    data = b""
                if not data:
                    os._exit(0)
                for kind, run, payload in reader.feed(data):
                    self._take(kind, run, payload)
        except frames.BadFrame as problem:
            self._give_up(f"bad frame: {problem}")
        except BaseException:
            self._give_up(f"the reader failed: {traceback.format_exc()}")

    def _give_up(self, text: str) -> None:
        """Ends the process, with a line on both ways out."""
        data = f"dockrion_worker {os.getpid()}: {text}\n".encode("utf-8", "backslashreplace")
        logs._write_all(2, data)
        try:
            logs.write_lines(logging.CRITICAL, "dockrion.worker", text)
            deadline = time.monotonic() + 1
            while self._outlet.queue and time.monotonic() < deadline:
                self._outlet.drain()
                time.sleep(0.005)
        finally:
            os._exit(2)

    def _take(self, kind: int, run: int, payload: bytes) -> None:
        if kind == frames.HELLO:
            if self._settings is not None:
                raise frames.BadFrame("a second HELLO")
            self._settings = Settings.read(frames.json_object("HELLO", payload))
            self._hello.set()
        elif self._settings is None:
            raise frames.BadFrame(f"type 0x{kind:02x} before HELLO")
        elif kind == frames.ACK:
            context = self._runs.get(run)
            if context is not None and context.acknowledge(frames.u32(payload)):
                self._release(context)
        elif kind == frames.START:
            self._start(run, payload)
        elif kind == frames.CANCEL:
            self._cancel(run, payload)
        elif kind == frames.PING:
            self._answer(payload)
        elif kind == frames.DRAIN:
            self._drain()

    def _answer(self, ping: bytes) -> None:
        now = time.monotonic()
        loop = self._loop
        if loop is None:
            self._outlet.put(frames.pong(ping, 0))
            return
        asked = self._asked_at
        if asked is None:
            self._asked_at = now
            loop.call_soon_threadsafe(self._answered)
            age = 0
        else:
            age = int((now - asked) * 1000)
        self._outlet.put(frames.pong(ping, age))
        if age > _HANG_MS and not self._told_hang:
            self._told_hang = True
            self._tell_hang(age)

    def _answered(self) -> None:
        self._asked_at = None
        self._told_hang = False

    def _tell_hang(self, age: int) -> None:
        frame = sys._current_frames().get(self._loop_thread)
        task = asyncio.current_task(self._loop)
        run = next((each.number for each in list(self._runs.values()) if task is not None and each.task is task), 0)
        lines = [f"the event loop has not answered for {age} ms: this holds it"]
        if frame is not None:
            lines += [text for each in traceback.format_stack(frame)[-20:] for text in each.rstrip("\n").split("\n")]
        for line in lines:
            self._put_log(run, logging.WARNING, "dockrion.worker", logs.cut(line), False)

    def _drain(self) -> None:
        with self._runs_lock:
            self._draining = True
            done = not self._runs
        if done:
            self._stop()

    def _stop(self) -> None:
        self._ready.wait()
        if self._loop is not None:
            self._loop.call_soon_threadsafe(self._loop.stop)

    # Runs.

    def _start(self, number: int, data: bytes) -> None:
        self._ready.wait()
        settings, agent = self._settings, self._agent
        assert settings is not None and agent is not None
        start, raw = frames.split_start(data)
        if not isinstance(start.get("run_id"), str):
            raise frames.BadFrame("START has no run_id")
        if start.get("mode") not in ("stream", "run", "invoke"):
            raise frames.BadFrame(f"START has the mode {start.get('mode')!r}")
        context = RunContext(number, start, settings, self._outlet, self._call_in_thread)
        with self._runs_lock:
            if number in self._runs:
                raise frames.BadFrame(f"START of run {number}, which runs")
            if self._draining:
                raise frames.BadFrame("START after DRAIN")
            self._runs[number] = context
        try:
            payload = json.loads(str(raw, "utf-8"))
            if not isinstance(payload, dict):
                raise ValueError("it is no object")
        except (ValueError, RecursionError) as problem:
            self._conclude(context, outcomes.fail(f"the payload cannot be read: {problem}", "VALIDATION_ERROR"))
            return
        scope = contextvars.copy_context()
        scope.run(current_context.set, context)
        if agent.is_async:
            assert self._loop is not None
            self._loop.call_soon_threadsafe(self._start_task, context, scope, payload)
        else:
            future = self._handlers.submit_for(context, scope.run, self._run_sync, context, payload)
            context.cancel_job = future.cancel
            future.add_done_callback(lambda ended: self._ended(context, ended))

    # A run is concluded by a callback of its task or job and not at its end, where an interruption might still come.

    def _start_task(self, context: RunContext, scope: contextvars.Context, payload: dict[str, Any]) -> None:
        if context.is_cancelled:
            self._conclude(context, frames.frame(frames.CANCELLED, context.number))
        else:
            self._follow(context, scope, self._run_async(context, payload))

    def _follow(self, context: RunContext, scope: contextvars.Context, run: Coroutine[Any, Any, bytes]) -> None:
        assert self._loop is not None
        context.task = task = scope.run(self._loop.create_task, run)
        task.add_done_callback(lambda ended: self._ended(context, ended))

    def _ended(self, context: RunContext, ended: asyncio.Task[bytes] | Future[bytes | None]) -> None:
        if ended.cancelled():
            self._conclude(context, self._failed(context, asyncio.CancelledError()))
            return
        problem = ended.exception()
        frame = ended.result() if problem is None else self._failed(context, problem)
        if frame is not None:
            self._conclude(context, frame)

    async def _run_async(self, context: RunContext, payload: dict[str, Any]) -> bytes:
        agent, settings = self._agent, self._settings
        assert agent is not None and settings is not None
        try:
            return self._done(context, await agent.run_async(agent.prepare(payload, settings.properties), context))
        except BaseException as problem:
            return self._failed(context, problem)

    def _run_sync(self, context: RunContext, payload: dict[str, Any]) -> bytes | None:
        """None: a task goes on with it."""
        agent, settings = self._agent, self._settings
        assert agent is not None and settings is not None and self._loop is not None
        try:
            if context.is_cancelled:
                raise RunCancelled
            output = agent.run_sync(agent.prepare(payload, settings.properties), context)
            if needs_loop(output):
                scope = contextvars.copy_context()
                self._loop.call_soon_threadsafe(self._continue, context, scope, output)
                return None
            return self._done(context, output)
        except BaseException as problem:
            return self._failed(context, problem)

    def _continue(self, context: RunContext, scope: contextvars.Context, result: Any) -> None:
        """On the loop: what a synchronous function has returned is to be awaited there."""
        self._follow(context, scope, self._finish(context, result))
        if context.is_cancelled and context.task is not None:
            context.task.cancel()

    async def _finish(self, context: RunContext, result: Any) -> bytes:
        try:
            return self._done(context, await finish(result, context))
        except BaseException as problem:
            return self._failed(context, problem)

    def _call_in_thread(self, function: Callable[[], Any]) -> asyncio.Future[Any]:
        assert self._loop is not None
        return self._loop.run_in_executor(self._handlers, contextvars.copy_context().run, function)

    def _cancel(self, number: int, reason: bytes) -> None:
        context = self._runs.get(number)
        if context is None:
            return
        context.cancel(str(reason, "utf-8", "replace"))
        if context.ended:
            self._release(context)
            return
        settings = self._settings
        assert settings is not None and self._loop is not None
        cancel_job = context.cancel_job
        if cancel_job is not None and cancel_job():
            # It has waited for a thread, and never had one.
            return
        self._loop.call_soon_threadsafe(_cancel_task, context)
        half = settings.cancel_grace_seconds / 2
        self._interrupter.schedule(context, half, max(half, _PATIENCE))

    def _done(self, context: RunContext, output: Any) -> bytes:
        if not isinstance(output, dict):
            return self._invalid(context, f"the agent returned {outcomes.named(output)}, not a dict")
        settings = self._settings
        assert settings is not None
        try:
            raw = encode(output)
        except ValueError as problem:
            return self._invalid(context, f"the output cannot be sent: {problem}")
        if len(raw) > settings.output_bytes:
            text = f"the output has {len(raw)} bytes, at most {settings.output_bytes} are allowed"
            return self._invalid(context, text)
        return frames.frame(frames.DONE, context.number, raw)

    def _invalid(self, context: RunContext, text: str) -> bytes:
        _agent_log.error("run %s: %s", context.run_id, text)
        return outcomes.fail(text, "INVALID_OUTPUT")(context.number)

    def _failed(self, context: RunContext, problem: BaseException) -> bytes:
        if context.too_fast:
            text = "the agent emitted faster than its client reads, and did not await: use `await context.emit…`"
            _agent_log.error("run %s: %s", context.run_id, text)
            return outcomes.fail(text, "AGENT_TOO_FAST")(context.number)
        if context.is_cancelled and isinstance(problem, (asyncio.CancelledError, RunCancelled)):
            return frames.frame(frames.CANCELLED, context.number)
        if isinstance(problem, InvalidOutput):
            return self._invalid(context, str(problem))
        if isinstance(problem, InvalidPayload):
            return outcomes.fail(str(problem), "VALIDATION_ERROR")(context.number)
        logs.write_lines(logging.ERROR, "dockrion.agent", outcomes.traceback_of(problem))
        return outcomes.error(problem, self._expose)(context.number)

    # The end of runs.

    def _conclude(self, context: RunContext, frame: bytes | Callable[[int], bytes]) -> None:
        """The agent has ended. The place of a cancelled run is free when its last job has, too."""
        raw = frame if isinstance(frame, bytes) else frame(context.number)
        for stream in self._streams:
            stream.end_run(context.number)
        context.hold(raw)
        self._try_release(context)

    def _job_ended(self, context: RunContext) -> None:
        self._try_release(context)

    def _try_release(self, context: RunContext) -> None:
        raw = context.take_held()
        if raw is not None and context.end(raw):
            self._release(context)

    def _release(self, context: RunContext) -> None:
        raw = context.take_terminal()
        if raw is None:
            return
        with self._runs_lock:
            self._runs.pop(context.number, None)
            stop = self._draining and not self._runs
        context.concluded = True
        # Circles that only the garbage collector would find.
        context.task = context.cancel_job = None
        self._outlet.waiting.discard(context)
        if context.is_cancelled:
            self._outlet.put_quietly(raw)
        else:
            self._outlet.put(raw)
        if stop:
            self._stop()

    # Logs.

    def line(self, level: int, logger: str, line: bytes, run: int | None = None) -> None:
        context = current_context.get()
        if run is not None:
            self._put_log(run, level, logger, line, False)
        elif isinstance(context, RunContext):
            # A line behind the run's last frame is the process's.
            number = 0 if context.concluded else context.number
            self._put_log(number, level, logger, line, context.is_cancelled)
        else:
            self._put_log(0, level, logger, line, False)

    def _put_log(self, run: int, level: int, logger: str, line: bytes, quietly: bool) -> None:
        name = logger.encode("utf-8", "backslashreplace")[:1024]
        self._outlet.put_log(frames.log(run, level, name, line), quietly)
        lost = self._outlet.take_lost_logs()
        if lost:
            text = f"{lost} lines of logs were lost: the server did not take them"
            self._outlet.put_log(frames.log(0, logging.WARNING, b"dockrion.worker", text.encode()), quietly)


def describe(agent: Agent) -> dict[str, Any]:
    """What READY says of an agent."""
    return {
        "python": ".".join(map(str, sys.version_info[:3])),
        "kind": agent.kind,
        "async": agent.is_async,
        "in_memory_checkpointer": agent.in_memory_checkpointer,
        "warnings": warnings_of(agent),
    }


def warnings_of(agent: Agent) -> list[str]:
    """What will not work in this environment."""
    if agent.kind == "langgraph" and sys.version_info < (3, 11):
        return [
            "before Python 3.11 get_stream_writer(), interrupt() and tokens of models that are called without the "
            "node's config do not work in the nodes of a graph: LangGraph's own limit"
        ]
    return []


def _cancel_task(context: RunContext) -> None:
    if context.task is not None:
        context.task.cancel()


def _new_loop(choice: str) -> asyncio.AbstractEventLoop:
    if choice == "auto" and importlib.util.find_spec("uvloop") is not None:
        try:
            import uvloop

            return uvloop.new_event_loop()
        except Exception as problem:
            _log.warning("uvloop cannot be used, asyncio's own event loop is: %s", problem)
    return asyncio.new_event_loop()


def _enlarge(stream: socket.socket) -> None:
    """Room for bursts in the socket; the system may give less."""
    for option in (socket.SO_SNDBUF, socket.SO_RCVBUF):
        try:
            stream.setsockopt(socket.SOL_SOCKET, option, 1 << 20)
        except OSError:
            pass
