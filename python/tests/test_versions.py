"""What the package says of itself: syntax of the oldest Python, the standard library alone, other interpreters."""

from __future__ import annotations

import ast
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from driver import AGENTS, PACKAGES, zygote

SOURCES = sorted([*(PACKAGES / "dockrion_events").rglob("*.py"), *(PACKAGES / "dockrion_worker").rglob("*.py")])
#: Imported where they are, never needed.
OPTIONAL = {"orjson", "uvloop", "langgraph", "langchain_core"}


@pytest.mark.parametrize("path", SOURCES, ids=lambda path: str(path.relative_to(PACKAGES)))
def test_sources_are_of_python_3_10_and_import_its_library_only(path: Path) -> None:
    tree = ast.parse(path.read_text(), feature_version=(3, 10))
    names = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            names |= {each.name.split(".")[0] for each in node.names}
        elif isinstance(node, ast.ImportFrom) and not node.level and node.module:
            names.add(node.module.split(".")[0])
    foreign = names - sys.stdlib_module_names - {"dockrion_events"} - OPTIONAL
    assert foreign == set()


def interpreters() -> list[str]:
    """Those of this machine that answer, the one that runs this apart: not every machine has them all."""
    found = []
    for version in ("3.10", "3.11", "3.12", "3.13"):
        name = shutil.which(f"python{version}")
        if name is None:
            continue
        environment = {**os.environ, "PYENV_VERSION": ":".join(pyenv_versions(version))}
        asked = subprocess.run(
            [name, "-c", "import sys; print(sys.executable)"], capture_output=True, text=True, env=environment
        )
        if asked.returncode == 0:
            found.append(asked.stdout.strip())
    return found or [sys.executable]


def pyenv_versions(version: str) -> list[str]:
    root = Path(os.environ.get("PYENV_ROOT", Path.home() / ".pyenv")) / "versions"
    return [each.name for each in root.glob(f"{version}.*")]


@pytest.mark.parametrize("python", interpreters())
def test_a_worker_runs_on_every_interpreter_that_is_here(python: str) -> None:
    for handler in ("plain:guide", "plain:guide_async"):
        with zygote(AGENTS, {"handler": handler}, python=python) as started:
            ready = started.wait_for("ready")
            assert ready["preloaded"] is True
            worker = started.worker(cancel_grace_seconds=0.2)
            events, _ = worker.run(1)
            assert [name for name, _ in events] == ["progress", "checkpoint", "fraud_check", "step", "token"]
    for handler in ("plain:spin", "plain:spin_async"):
        with zygote(AGENTS, {"handler": handler}, python=python) as started:
            started.wait_for("ready")
            worker = started.worker(cancel_grace_seconds=0.2)
            worker.start(1, {"seconds": 60})
            worker.wait_events(1, 1)
            worker.cancel(1)
            assert worker.terminal(1).kind == 0x45
            worker.drain()
            assert started.wait_for("exited", worker=worker.number)["status"] == 0
