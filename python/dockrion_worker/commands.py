"""`zygote`, and the one-shot commands `validate` and `doctor`, which print one line of JSON."""

from __future__ import annotations

import argparse
import importlib
import importlib.metadata
import json
import os
import re
import sys
from collections.abc import Iterable
from typing import Any

from . import zygote
from .agents import Agent
from .targets import ImportProblem, load, type_name
from .worker import warnings_of

_NAME = re.compile(r"\s*([A-Za-z0-9][A-Za-z0-9._-]*)")


def main(arguments: list[str]) -> int:
    parser = argparse.ArgumentParser(prog="dockrion_worker", description="Runs Python agents for a Dockrion server.")
    commands = parser.add_subparsers(dest="command", required=True)
    started = commands.add_parser("zygote", help="what the server starts: descriptor 3 is its control socket")
    started.add_argument("--bare", help=argparse.SUPPRESS)
    for name, text in (("validate", "imports an agent"), ("doctor", "imports an agent and looks at its environment")):
        command = commands.add_parser(name, help=text)
        command.add_argument("--handler", metavar="MODULE:FUNCTION")
        command.add_argument("--entrypoint", metavar="MODULE:FACTORY")
        command.add_argument("--framework", metavar="NAME")
        if name == "doctor":
            command.add_argument("--dependency", metavar="SPEC", action="append", default=[])
            command.add_argument("--requirements", metavar="FILE")
    options = parser.parse_args(arguments)
    if options.command == "zygote":
        return zygote.main(options.bare)
    return _check(options)


def _check(options: argparse.Namespace) -> int:
    # What the agent prints goes to descriptor 2: descriptor 1 has the result alone.
    result_descriptor = os.dup(1)
    os.dup2(2, 1)
    known = zygote.descriptors()
    zygote.prepare_process()
    spec = {"handler": options.handler, "entrypoint": options.entrypoint, "framework": options.framework}
    result: dict[str, Any] = {
        "ok": False,
        "python": ".".join(map(str, sys.version_info[:3])),
        "executable": sys.executable,
        "kind": None,
        "async": None,
        "in_memory_checkpointer": None,
        "object": None,
        "preload": None,
        "error": None,
        "warnings": [],
    }
    try:
        agent = load(spec)
    except ImportProblem as problem:
        result["error"] = problem.fields
    else:
        left = zygote.left_behind(known)
        result.update(
            {
                "ok": True,
                "kind": agent.kind,
                "async": agent.is_async,
                "in_memory_checkpointer": agent.in_memory_checkpointer,
                "object": _object_name(agent),
                "preload": {"safe": not left, "left": left},
                "warnings": warnings_of(agent),
            }
        )
    if options.command == "doctor":
        _add_dependencies(result, options)
    os.write(result_descriptor, json.dumps(result).encode() + b"\n")
    # Threads that the import has left would hold an orderly exit.
    os._exit(0 if result["ok"] else 1)


def _object_name(agent: Agent) -> str:
    return type_name(agent.subject)


def _add_dependencies(result: dict[str, Any], options: argparse.Namespace) -> None:
    specs = list(options.dependency)
    if options.requirements is not None:
        try:
            with open(options.requirements, encoding="utf-8") as file:
                specs += list(_requirements(file))
        except OSError as problem:
            result["ok"] = False
            result["warnings"] = [*result["warnings"], f"{options.requirements} cannot be read: {problem.strerror}"]
    dependencies = [_dependency(spec) for spec in specs]
    result["dependencies"] = dependencies
    missing = [each["requirement"] for each in dependencies if each["satisfied"] is False]
    named = [re.sub(r"[-_.]+", "-", each["name"]).lower() for each in dependencies if each["satisfied"] is False]
    error = result["error"]
    if error is not None and error["missing_package"] is not None and error["missing_package"].lower() not in named:
        missing.append(error["missing_package"])
    result["install"] = None
    if missing:
        result["ok"] = False
        result["install"] = f"{sys.executable} -m pip install {' '.join(_quoted(each) for each in missing)}"


def _requirements(lines: Iterable[str]) -> Iterable[str]:
    for line in lines:
        text = line.split("#")[0].strip() if not line.startswith(("http:", "https:")) else ""
        if text and not text.startswith("-"):
            yield text


def _quoted(requirement: str) -> str:
    return requirement if re.fullmatch(r"[A-Za-z0-9._=-]+", requirement) else "'" + requirement.replace("'", "") + "'"


def _dependency(spec: str) -> dict[str, Any]:
    found = _NAME.match(spec)
    name = found.group(1) if found else spec
    try:
        installed: str | None = importlib.metadata.version(name)
    except (importlib.metadata.PackageNotFoundError, ValueError):
        installed = None
    return {"requirement": spec, "name": name, "installed": installed, "satisfied": _satisfied(spec, installed)}


def _satisfied(spec: str, installed: str | None) -> bool | None:
    """None where nothing here can compare versions."""
    requirements = _requirements_module()
    if requirements is None:
        bare = _NAME.fullmatch(spec.strip()) is not None
        return False if installed is None else True if bare else None
    try:
        requirement = requirements.Requirement(spec)
    except requirements.InvalidRequirement:
        return None if installed is not None else False
    if requirement.marker is not None and not requirement.marker.evaluate():
        return True
    return installed is not None and bool(requirement.specifier.contains(installed, prereleases=True))


def _requirements_module() -> Any:
    for name in ("packaging.requirements", "pip._vendor.packaging.requirements"):
        try:
            return importlib.import_module(name)
        except ImportError:
            continue
    return None
