"""Zygotes and workers as processes: start, import, fork, death, exit; and the one-shot commands."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
import time
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from driver import AGENTS, CANCEL, DONE, FATAL, PACKAGES, PONG, Frame, Worker, frame, running, wait_until, zygote


def alive(pid: int) -> bool:
    try:
        with open(f"/proc/{pid}/stat") as file:
            return file.read().rsplit(")", 1)[1].split()[0] != "Z"
    except OSError:
        return False


def test_workers_share_what_was_imported() -> None:
    with zygote(AGENTS, {"handler": "leaves:handler"}, environment={"LEAVES": "nothing"}) as started:
        ready = started.wait_for("ready")
        assert (ready["preloaded"], ready["left"], ready["kind"], ready["async"]) == (True, [], "handler", False)
        assert ready["pid"] == started.pid
        outputs = [started.worker().run(1)[1] for _ in range(2)]
        assert [each["imported_here"] for each in outputs] == [False, False]
        assert outputs[0]["random"] != outputs[1]["random"]


@pytest.mark.parametrize(
    ("leaves", "left"),
    [
        ("thread", "a second thread: poller"),
        ("socket", "an open socket"),
        ("database", "a file open for reading and writing"),
    ],
)
def test_an_import_that_a_fork_would_break_is_made_in_each_worker(leaves: str, left: str, tmp_path: Path) -> None:
    environment = {"LEAVES": leaves, "DATABASE": str(tmp_path / "x.db")}
    with zygote(AGENTS, {"handler": "leaves:handler"}, environment=environment) as started:
        ready = started.wait_for("ready")
        assert ready["preloaded"] is False
        assert len(ready["left"]) == 1
        assert ready["left"][0].startswith(left)
        assert (ready["pid"], ready["kind"]) == (started.pid, None)
        worker = started.worker()
        assert worker.ready()["kind"] == "handler"
        assert worker.run(1)[1]["imported_here"] is True


def test_preload_can_be_forced_and_forbidden(tmp_path: Path) -> None:
    environment = {"LEAVES": "thread", "DATABASE": str(tmp_path / "log")}
    with zygote(AGENTS, {"handler": "leaves:handler"}, preload="true", environment=environment) as started:
        assert started.wait_for("ready")["preloaded"] is True
        assert started.worker().run(1)[1]["imported_here"] is False
    environment["LEAVES"] = "log"
    with zygote(AGENTS, {"handler": "leaves:handler"}, environment=environment) as started:
        assert started.wait_for("ready")["preloaded"] is True
    with zygote(AGENTS, {"handler": "leaves:handler"}, preload="false", environment=environment) as started:
        ready = started.wait_for("ready")
        assert (ready["preloaded"], ready["left"]) == (False, [])
        assert started.worker().run(1)[1]["imported_here"] is True


def fatal(agent: dict[str, Any], preload: str, folder: Path = AGENTS / "broken") -> dict[str, Any]:
    with zygote(folder, agent, preload=preload) as started:
        if preload == "false":
            started.wait_for("ready")
            worker = started.fork()
            worker.hello()
            worker.wait_closed()
            (found,) = [each.json for each in worker.frames if each.kind == FATAL]
            assert started.wait_for("exited", worker=worker.number)["status"] == 1 << 8
            return found
        found = started.wait_for("fatal")
        assert started.receive() is None
        found.pop("type")
        return found


@pytest.mark.parametrize("preload", ["auto", "false"])
def test_an_import_that_raises_says_where(preload: str) -> None:
    found = fatal({"handler": "raises:handler"}, preload)
    file = str(AGENTS / "broken" / "raises.py")
    assert (found["message"], found["file"], found["line"]) == ("RuntimeError: at import", file, 2)
    assert found["traceback"][-1] == "RuntimeError: at import"
    assert not any("dockrion_worker" in line or "importlib" in line for line in found["traceback"])
    assert found["missing_package"] is None


def test_a_missing_package_is_named_with_the_command_that_installs_it() -> None:
    found = fatal({"handler": "missing:handler"}, "auto")
    assert found["missing_package"] == "not-installed-anywhere"
    assert found["install"] == f"{sys.executable} -m pip install not-installed-anywhere"
    assert found["line"] == 1


@pytest.mark.parametrize(
    ("agent", "message"),
    [
        ({"handler": "plain:guid"}, "module plain has no 'guid', did you mean 'guide'? It has: echo, guide, "),
        ({"handler": "nowhere:x"}, "module 'nowhere' is neither in "),
        ({"handler": "plain"}, "agent.handler 'plain' is not module.path:name"),
        ({"entrypoint": "plain:guide"}, "needs agent.framework: langgraph, langchain or custom"),
        ({"entrypoint": "plain:kept", "framework": "custom"}, "is a list: it can neither be called nor has it astream"),
        ({"handler": "plain:Callable"}, "is a class"),
        ({"handler": "plain:kept"}, "is a list, which cannot be called"),
        ({"entrypoint": "made:number", "framework": "langgraph"}, "made a int, which has neither invoke nor stream"),
        ({"entrypoint": "made:number", "framework": "custom"}, "made a int, which has none of astream, stream"),
        ({"entrypoint": "made:later", "framework": "custom"}, "is async"),
        ({"entrypoint": "made:number", "framework": "else"}, "'else' is none of langgraph, langchain, custom"),
        ({}, "neither handler nor entrypoint"),
        ({"handler": "broken.exits:x"}, "SystemExit: 4"),
    ],
)
def test_what_cannot_run_is_said_in_a_sentence(agent: dict[str, str], message: str) -> None:
    assert message in fatal(agent, "auto", AGENTS)["message"]


def test_the_nearest_parent_that_holds_the_module_is_on_the_path(tmp_path: Path) -> None:
    (tmp_path / "lib").mkdir()
    (tmp_path / "lib" / "agent.py").write_text("def handler(payload): return {'ok': True}\n")
    folder = tmp_path / "a" / "b" / "c"
    folder.mkdir(parents=True)
    with running(folder, {"handler": "lib.agent:handler"}) as worker:
        assert worker.run(1)[1] == {"ok": True}


def test_the_agents_modules_do_not_become_ours(tmp_path: Path) -> None:
    """A folder with a `queue.py` and a `json.py`."""
    for name in ("queue", "json", "signal", "heapq", "logging"):
        (tmp_path / f"{name}.py").write_text("raise RuntimeError('shadowed')\n")
    (tmp_path / "agent.py").write_text("def handler(payload): return {'ok': True}\n")
    with running(tmp_path, {"handler": "agent:handler"}) as worker:
        assert worker.run(1)[1] == {"ok": True}


def test_helpers_of_the_original_have_stand_ins(tmp_path: Path) -> None:
    (tmp_path / "agent.py").write_text(
        "from dockrion_common import NotFoundError, get_logger\n"
        "def handler(payload):\n"
        "    get_logger('mine').info('looked', id=5)\n"
        "    raise NotFoundError('gone')\n"
    )
    with running(tmp_path, {"handler": "agent:handler"}, expose_errors=True) as worker:
        worker.start(1)
        assert worker.failure(1) == {"error": "NotFoundError: gone", "code": "NOT_FOUND"}
        assert (20, "mine", 'looked {"id": 5}') in worker.logs(1)


@pytest.mark.parametrize(
    ("payload", "status"),
    [({"exit": 3}, 3 << 8), ({"signal": "SIGKILL"}, 9), ({"signal": "SIGSEGV"}, 11), ({"signal": "SIGTERM"}, 15)],
)
def test_a_worker_that_dies_is_told_and_the_zygote_forks_on(payload: dict[str, Any], status: int) -> None:
    with zygote(AGENTS, {"handler": "plain:die"}) as started:
        started.wait_for("ready")
        worker = started.worker()
        began = time.monotonic()
        worker.start(1, payload)
        worker.wait_closed()
        exited = started.wait_for("exited", worker=worker.number)
        assert time.monotonic() - began < 2
        assert exited["status"] & ~0x80 == status
        assert exited["pid"] == worker.pid
        assert exited["max_rss_bytes"] > 1 << 20
        if payload.get("signal") == "SIGSEGV":
            assert "Segmentation fault" in worker.err.whole()
        assert started.worker().ready()


def test_signals_of_a_terminal_go_past() -> None:
    with zygote(AGENTS, {"handler": "plain:echo"}) as started:
        started.wait_for("ready")
        worker = started.worker()
        os.killpg(started.pid, signal.SIGINT)
        assert worker.run(1, {"a": 1})[1] == {"a": 1}
        assert os.getpgid(worker.pid) == started.pid


def test_drain_lets_runs_end_and_exits() -> None:
    with zygote(AGENTS, {"handler": "plain:wait"}) as started:
        started.wait_for("ready")
        worker = started.worker()
        worker.start(1, {"tokens": 3, "pause": 0.1})
        worker.wait_events(1, 1)
        worker.drain()
        assert worker.terminal(1).kind == DONE
        worker.wait_closed()
        assert started.wait_for("exited", worker=worker.number)["status"] == 0
        idle = started.worker()
        idle.drain()
        assert started.wait_for("exited", worker=idle.number)["status"] == 0


def test_exit_handlers_run_at_drain(tmp_path: Path) -> None:
    (tmp_path / "agent.py").write_text(
        "import atexit, pathlib\n"
        "def handler(payload):\n"
        "    atexit.register(lambda: pathlib.Path('left').write_text('yes'))\n"
        "    return {}\n"
    )
    with zygote(tmp_path, {"handler": "agent:handler"}) as started:
        started.wait_for("ready")
        worker = started.worker()
        worker.run(1)
        worker.drain()
        assert started.wait_for("exited", worker=worker.number)["status"] == 0
        assert (tmp_path / "left").read_text() == "yes"


def test_when_the_server_goes_so_do_all_even_one_that_holds_the_interpreter() -> None:
    with zygote(AGENTS, {"handler": "plain:hold"}) as started:
        started.wait_for("ready")
        worker = started.worker()
        worker.start(1)
        worker.wait_events(1, 1)
        started.control.close()
        wait_until(lambda: not alive(worker.pid) and not alive(started.pid), "all ended")


def test_a_killed_zygote_takes_no_worker_along() -> None:
    with zygote(AGENTS, {"handler": "plain:wait"}) as started:
        started.wait_for("ready")
        worker = started.worker()
        worker.start(1, {"tokens": 5, "pause": 0.1})
        worker.wait_events(1, 1)
        os.kill(started.pid, signal.SIGKILL)
        assert started.receive() is None
        assert worker.output(1) == {"waited": True}
        worker.socket.shutdown(1)
        wait_until(lambda: not alive(worker.pid), "the worker's end")


def test_descriptors_stay_where_they_belong() -> None:
    with zygote(AGENTS, {"handler": "plain:descriptors"}) as started:
        started.wait_for("ready")
        workers = [started.worker()]
        before = len(os.listdir(f"/proc/{started.pid}/fd"))
        workers += [started.worker() for _ in range(5)]
        for worker in workers:
            worker.drain()
            started.wait_for("exited", worker=worker.number)
        assert len(os.listdir(f"/proc/{started.pid}/fd")) == before
        last = started.worker()
        found = last.run(1)[1]["targets"]
        # Null, two pipes, the stream; the rest are the loop's own.
        assert found[0] == "/dev/null"
        assert [each.split(":")[0] for each in found[1:3]] == ["pipe", "pipe"]
        assert os.readlink(f"/proc/{started.pid}/fd/3") not in found


def test_bad_packets_end_a_zygote() -> None:
    for packet in ({"type": "fork", "worker": 1}, {"type": "other"}):
        with zygote(AGENTS, {"handler": "plain:echo"}) as started:
            started.wait_for("ready")
            started.send(packet)
            assert started.receive() is None
            assert "bad packet" in started.err.whole()


def pongs(worker: Worker, number: int) -> list[Frame]:
    return [each for each in worker.frames if each.kind == PONG and each.payload[:8] == number.to_bytes(8, "little")]


def test_ping_is_answered_beside_a_loop_that_hangs_and_the_stack_is_logged() -> None:
    with running(AGENTS, {"handler": "plain:spin_async"}) as worker:
        worker.start(1, {"seconds": 3})
        worker.wait_events(1, 1)
        ages = []
        for number in range(14):
            worker.ping(number)
            worker.wait(partial(pongs, worker, number), "PONG", 1)
            (pong,) = pongs(worker, number)
            ages.append(int.from_bytes(pong.payload[8:], "little"))
            time.sleep(0.2)
        assert ages[0] == 0
        assert ages == sorted(ages)
        assert ages[-1] > 2000
        lines = [line for level, logger, line in worker.logs(1) if (level, logger) == (30, "dockrion.worker")]
        assert "has not answered for" in lines[0]
        assert any("spin_async" in line for line in lines)
        assert worker.output(1) == {"spun": True}
        worker.ping(99)
        worker.wait(partial(pongs, worker, 99), "PONG")
        assert len([line for _, _, line in worker.logs(1) if "has not answered" in line]) == 1


def test_a_cancel_of_an_unknown_run_has_no_effect() -> None:
    with running(AGENTS, {"handler": "plain:echo"}) as worker:
        worker.send(frame(CANCEL, 77, b"x"))
        worker.ack(77, 5)
        assert worker.run(1, {})[1] == {}


def test_children_of_agents_do_not_speak_to_the_server() -> None:
    with running(AGENTS, {"handler": "plain:forks"}) as worker:
        assert worker.run(1)[1] == {"child": 0}
        assert [line for _, _, line in worker.logs(1)] == ["parent"]
        assert worker.out.data == b"child\n"


def command(*arguments: str, folder: Path = AGENTS) -> tuple[int, Any, str]:
    found = subprocess.run(
        [sys.executable, "-u", "-X", "utf8", "-m", "dockrion_worker", *arguments],
        cwd=folder,
        env={**os.environ, "PYTHONPATH": str(PACKAGES), "LEAVES": "thread"},
        capture_output=True,
        text=True,
        timeout=60,
    )
    return found.returncode, json.loads(found.stdout) if found.stdout else None, found.stderr


def test_validate_says_what_would_run() -> None:
    status, result, _ = command("validate", "--handler", "plain:guide_async")
    assert status == 0
    assert (result["ok"], result["kind"], result["async"], result["error"]) == (True, "handler", True, None)
    assert result["preload"] == {"safe": True, "left": []}
    assert result["executable"] == sys.executable
    status, result, _ = command("validate", "--handler", "leaves:handler")
    assert (status, result["preload"]) == (0, {"safe": False, "left": ["a second thread: poller"]})


def test_validate_prints_one_line_whatever_the_agent_prints() -> None:
    status, result, errors = command("validate", "--handler", "noisy:handler")
    assert (status, result["ok"]) == (0, True)
    assert "noise of the import" in errors
    status, result, _ = command("validate", "--handler", "broken.raises:handler")
    assert (status, result["ok"], result["error"]["message"]) == (1, False, "RuntimeError: at import")
    assert command("validate", "--wrong")[0] == 2


def test_doctor_looks_for_dependencies(tmp_path: Path) -> None:
    requirements = tmp_path / "requirements.txt"
    requirements.write_text("# comment\npytest>=1.0  # inline\n-r other.txt\nno-such-package==1\n")
    status, result, _ = command(
        "doctor",
        "--handler",
        "plain:echo",
        "--dependency",
        "pytest",
        "--dependency",
        "pytest<1",
        "--requirements",
        str(requirements),
    )
    assert status == 1
    assert [(each["name"], each["satisfied"]) for each in result["dependencies"]] == [
        ("pytest", True),
        ("pytest", False),
        ("pytest", True),
        ("no-such-package", False),
    ]
    assert result["install"] == f"{sys.executable} -m pip install 'pytest<1' no-such-package==1"
    status, result, _ = command("doctor", "--handler", "plain:echo")
    assert (status, result["ok"], result["install"], result["dependencies"]) == (0, True, None, [])


def test_a_fork_that_fails_is_answered_and_the_next_one_works() -> None:
    with zygote(AGENTS, {"handler": "plain:echo"}, paths=[str(PACKAGES / "tests" / "no_fork")]) as started:
        started.wait_for("ready")
        near, far = socket.socketpair()
        number = os.dup(far.fileno())
        started.send({"type": "fork", "worker": 77}, [far.fileno(), number, number])
        answer = started.wait_for("forked", worker=77)
        assert answer == {"type": "forked", "worker": 77, "errno": 11, "error": "EAGAIN"}
        far.close()
        os.close(number)
        # The zygote has closed its ends.
        near.settimeout(5)
        assert near.recv(1) == b""
        near.close()
        assert started.worker().run(1, {"a": 1})[1] == {"a": 1}


def test_a_zygote_whose_import_does_not_end_goes_with_its_server(tmp_path: Path) -> None:
    (tmp_path / "agent.py").write_text("import time\ntime.sleep(1)\ndef handler(payload): return {}\n")
    with zygote(tmp_path, {"handler": "agent:handler"}) as started:
        started.control.close()
        wait_until(lambda: not alive(started.pid), "its end")
