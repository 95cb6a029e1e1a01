"""From the Dockfile's `agent` to what runs: the import, and what to say where it fails."""

from __future__ import annotations

import difflib
import importlib
import importlib.util
import inspect
import os
import re
import sys
import traceback
from collections.abc import Mapping
from typing import Any

from .agents import METHODS, Agent, CustomObject, Handler
from .calling import Caller
from .graphs import Graph, StreamObject, is_graph
from .runnables import Runnable

_NAME = re.compile(r"([\w.]+):(\w+)\Z")
_PACKAGE = os.path.dirname(os.path.abspath(__file__))
_FALLBACK = os.path.join(_PACKAGE, "fallback")

#: Bytes of one text of FATAL, and lines of its traceback.
_TEXT_MAX = 8192
_LINES_MAX = 20

#: Distributions whose name is not their module's.
_DISTRIBUTIONS = {
    "attr": "attrs",
    "bs4": "beautifulsoup4",
    "cv2": "opencv-python",
    "dateutil": "python-dateutil",
    "dotenv": "python-dotenv",
    "fitz": "PyMuPDF",
    "git": "GitPython",
    "google.generativeai": "google-generativeai",
    "jwt": "PyJWT",
    "OpenSSL": "pyOpenSSL",
    "PIL": "Pillow",
    "psycopg2": "psycopg2-binary",
    "pymupdf": "PyMuPDF",
    "serial": "pyserial",
    "sklearn": "scikit-learn",
    "yaml": "PyYAML",
}


class ImportProblem(Exception):
    """The agent cannot be imported. `fields` are FATAL's."""

    def __init__(
        self,
        message: str,
        file: str | None = None,
        line: int | None = None,
        lines: list[str] | None = None,
        missing_package: str | None = None,
    ) -> None:
        super().__init__(message)
        install = None if missing_package is None else f"{sys.executable} -m pip install {missing_package}"
        self.fields: dict[str, Any] = {
            "message": message[:_TEXT_MAX],
            "file": file,
            "line": line,
            "traceback": [text[:_TEXT_MAX] for text in lines or []][-_LINES_MAX:],
            "missing_package": missing_package,
            "install": install,
        }


def load(spec: Mapping[str, Any]) -> Agent:
    """Imports the agent and makes what runs it. Raises `ImportProblem`."""
    handler, entrypoint = spec.get("handler"), spec.get("entrypoint")
    name = handler or entrypoint
    if not name:
        raise ImportProblem("agent has neither handler nor entrypoint")
    found = _NAME.match(str(name))
    if not found:
        raise ImportProblem(f"agent.{'handler' if handler else 'entrypoint'} {name!r} is not module.path:name")
    module_name, attribute = found.groups()
    extend_path(module_name)
    try:
        module = importlib.import_module(module_name)
        if not hasattr(module, attribute):
            raise ImportProblem(_missing_name(module, module_name, attribute), getattr(module, "__file__", None))
        subject = getattr(module, attribute)
        if handler:
            return _handler(name, subject)
        return _entrypoint(name, subject, spec.get("framework"))
    except ImportProblem:
        raise
    except BaseException as problem:
        raise _explain(problem, module_name) from problem


def extend_path(module_name: str) -> None:
    """The working directory first on `sys.path`, and behind all else the nearest of its parents that holds the module,
    where it does not; last, stand-ins for the original's helpers."""
    folder = os.getcwd()
    first = module_name.split(".")[0]
    if not sys.path or sys.path[0] != folder:
        sys.path.insert(0, folder)
    parent = folder
    for _ in range(5):
        if _holds(parent, first):
            if parent not in sys.path:
                sys.path.append(parent)
            break
        parent = os.path.dirname(parent)
    if _FALLBACK not in sys.path:
        sys.path.append(_FALLBACK)


def _holds(folder: str, name: str) -> bool:
    return os.path.isdir(os.path.join(folder, name)) or os.path.isfile(os.path.join(folder, name + ".py"))


def _handler(name: str, subject: Any) -> Agent:
    if inspect.isclass(subject):
        raise ImportProblem(f"agent.handler {name} is a class: use agent.entrypoint with framework: custom")
    if not callable(subject):
        hint = ": use agent.entrypoint with a function that returns it" if _has_methods(subject) else ""
        raise ImportProblem(f"agent.handler {name} is a {_type(subject)}, which cannot be called{hint}")
    if not Caller(subject).takes_payload:
        raise ImportProblem(f"agent.handler {name} takes no payload: def {name.split(':')[1]}(payload)")
    return Handler(subject)


def _entrypoint(name: str, subject: Any, framework: Any) -> Agent:
    if not framework:
        raise ImportProblem(f"agent.entrypoint {name} needs agent.framework: langgraph, langchain or custom")
    if framework == "custom" and inspect.isroutine(subject) and Caller(subject).needed:
        return Handler(subject, kind="custom")
    made = subject
    if inspect.isclass(subject) or inspect.isroutine(subject) or not _has_methods(subject):
        if not callable(subject):
            raise ImportProblem(
                f"agent.entrypoint {name} is a {_type(subject)}: it can neither be called nor has it {_any_of(METHODS)}"
            )
        made = subject()
    if inspect.iscoroutine(made):
        made.close()
        raise ImportProblem(f"agent.entrypoint {name} is async: a factory is called before there is an event loop")
    if framework == "langgraph":
        return _langgraph(name, made)
    if framework == "langchain":
        if not (callable(getattr(made, "astream", None)) and callable(getattr(made, "ainvoke", None))):
            raise ImportProblem(f"agent.entrypoint {name} made a {_type(made)}, which is no Runnable: it lacks astream")
        return Runnable(made)
    if framework != "custom":
        raise ImportProblem(f"agent.framework {framework!r} is none of langgraph, langchain, custom")
    if not _has_methods(made):
        raise ImportProblem(f"agent.entrypoint {name} made a {_type(made)}, which has none of {_any_of(METHODS)}")
    return CustomObject(made)


def _langgraph(name: str, made: Any) -> Agent:
    if is_graph(made):
        return Graph(made)
    if callable(getattr(made, "astream", None)) and callable(getattr(made, "ainvoke", None)):
        return Runnable(made, kind="langgraph")
    if callable(getattr(made, "invoke", None)) or callable(getattr(made, "stream", None)):
        return StreamObject(made)
    hint = ": return its .compile()" if callable(getattr(made, "compile", None)) else ""
    raise ImportProblem(f"agent.entrypoint {name} made a {_type(made)}, which has neither invoke nor stream{hint}")


def _has_methods(value: Any) -> bool:
    return any(callable(getattr(value, name, None)) for name in METHODS)


def _any_of(names: tuple[str, ...]) -> str:
    return f"{', '.join(names[:-1])} or {names[-1]}"


def _type(value: Any) -> str:
    kind = type(value)
    return kind.__qualname__ if kind.__module__ == "builtins" else f"{kind.__module__}.{kind.__qualname__}"


def type_name(value: Any) -> str:
    return _type(value)


def _missing_name(module: Any, module_name: str, attribute: str) -> str:
    public = [name for name, value in vars(module).items() if not name.startswith("_") and not inspect.ismodule(value)]
    own = [name for name in public if getattr(getattr(module, name), "__module__", module_name) == module_name]
    nearest = difflib.get_close_matches(attribute, own or public, 1)
    has = ", ".join((own or public)[:20]) or "nothing"
    hint = f", did you mean {nearest[0]!r}?" if nearest else "."
    return f"module {module_name} has no {attribute!r}{hint} It has: {has}"


def _explain(problem: BaseException, module_name: str) -> ImportProblem:
    frames = [frame for frame in traceback.extract_tb(problem.__traceback__) if _is_shown(frame.filename)]
    own = [frame for frame in frames if _is_own(frame.filename)]
    where = own or frames
    file, line = (where[-1].filename, where[-1].lineno) if where else (None, None)
    if isinstance(problem, SyntaxError) and problem.filename:
        file, line = problem.filename, problem.lineno
    parts = [*traceback.format_list(frames), *traceback.format_exception_only(type(problem), problem)]
    lines = [line for part in parts for line in part.rstrip("\n").split("\n")]
    message = f"{type(problem).__name__}: {problem}"
    missing = None
    if isinstance(problem, ModuleNotFoundError) and problem.name:
        first = problem.name.split(".")[0]
        if first == module_name.split(".")[0] and not own:
            message = f"module {module_name!r} is neither in {os.getcwd()} nor in its four parents, nor installed"
        elif importlib.util.find_spec(first) is None and not _holds(os.getcwd(), first):
            missing = _DISTRIBUTIONS.get(first, first.replace("_", "-"))
            message = f"the package {missing} is missing: {message}"
    return ImportProblem(message, file, line, lines, missing)


def _is_shown(filename: str) -> bool:
    return not filename.startswith((_PACKAGE, "<frozen importlib")) and filename != importlib.__file__


def _is_own(filename: str) -> bool:
    parts = filename.split(os.sep)
    return filename.startswith(os.getcwd() + os.sep) and "site-packages" not in parts
