"""Which events pass: `streaming.events.allowed` of the Dockfile."""

from __future__ import annotations

from collections.abc import Iterable
from typing import ClassVar

from .words import CHAT_EVENTS, CUSTOM_NAME, MANDATORY

_CONFIGURABLE = frozenset({"token", "step", "progress", "checkpoint", "heartbeat"})
_MESSAGE_EVENTS = frozenset({"tool_call", "tool_result", "reasoning", "usage"})


class EventsFilter:
    """`EventsFilter("chat")`, `EventsFilter(["token", "custom:fraud_check"])`; None lets everything pass.

    Raises `ValueError` for a word that is not known, `TypeError` for anything but None, a str, or strs.
    """

    MANDATORY_EVENTS: ClassVar[frozenset[str]] = MANDATORY
    CONFIGURABLE_EVENTS: ClassVar[frozenset[str]] = _CONFIGURABLE
    PRESETS: ClassVar[dict[str, frozenset[str]]] = {
        "minimal": frozenset(),
        "chat": frozenset({"token", "step", "heartbeat"}),
        "debug": _CONFIGURABLE | {"custom"},
        "all": _CONFIGURABLE | {"custom"},
        "ui": _CONFIGURABLE | {f"custom:{name}" for name in CHAT_EVENTS},
    }

    __slots__ = ("_builtin", "_custom")

    def __init__(self, events_config: str | Iterable[str] | None = None) -> None:
        if events_config is None:
            words: Iterable[str] = self.PRESETS["all"]
        elif isinstance(events_config, str):
            if events_config not in self.PRESETS:
                raise ValueError(
                    f"unknown preset {events_config!r}: it is one of {', '.join(sorted(self.PRESETS))}, or a list"
                )
            words = self.PRESETS[events_config]
        else:
            words = events_config
        builtin: set[str] = set()
        custom: set[str] = set()
        every = False
        for word in words:
            if not isinstance(word, str):
                raise TypeError(f"events_config holds a {type(word).__name__}, not a str")
            if word in _CONFIGURABLE:
                builtin.add(word)
            elif word == "custom":
                every = True
            elif word.startswith("custom:"):
                name = word[len("custom:") :]
                if not CUSTOM_NAME.match(name):
                    raise ValueError(f"{word!r}: the name does not match ^[A-Za-z_][A-Za-z0-9_.:-]{{0,127}}$")
                custom.add(name)
            elif word not in MANDATORY:
                known = ", ".join([*sorted(_CONFIGURABLE), "custom", "custom:<name>"])
                raise ValueError(f"unknown event {word!r}: it is one of {known}")
        self._builtin = frozenset(builtin)
        #: Names of the custom events that pass; None: all.
        self._custom = None if every else frozenset(custom)

    def is_allowed(self, event_type: str, custom_event_name: str | None = None) -> bool:
        """Whether an event passes. A custom event is asked for by its name in either place."""
        if event_type in MANDATORY or event_type in self._builtin:
            return True
        if event_type in _CONFIGURABLE:
            return False
        if self._custom is None:
            return True
        return (custom_event_name or event_type) in self._custom

    def get_allowed_events(self) -> set[str]:
        """The words of all that passes: `custom` for all custom events, else `custom:<name>`."""
        words = set(MANDATORY | self._builtin)
        if self._custom is None:
            words.add("custom")
        else:
            words.update(f"custom:{name}" for name in self._custom)
        return words

    def get_langgraph_stream_modes(self) -> list[str]:
        """Modes of a graph's stream that bring events which pass; `["values"]` where there are none."""
        custom = self._custom
        modes = []
        if "token" in self._builtin or custom is None or custom & _MESSAGE_EVENTS:
            modes.append("messages")
        if self._builtin & {"step", "checkpoint"}:
            modes.append("updates")
        if self._builtin & {"progress", "checkpoint"} or custom is None or custom - _MESSAGE_EVENTS:
            modes.append("custom")
        return modes or ["values"]

    def is_native_event_allowed(self, langgraph_mode: str, inner_type: str = "") -> bool:
        """Whether what a graph's stream brings in a mode passes; `inner_type` is a writer's event, `custom:` before a
        custom one's name or not."""
        if langgraph_mode == "messages":
            return self.is_allowed("token")
        if langgraph_mode == "updates":
            return self.is_allowed("step")
        if langgraph_mode == "custom":
            if not inner_type:
                return self._custom is None
            return self.is_allowed(inner_type.removeprefix("custom:"))
        return langgraph_mode == "values"

    @property
    def allows_tokens(self) -> bool:
        return "token" in self._builtin

    @property
    def allows_steps(self) -> bool:
        return "step" in self._builtin

    @property
    def allows_progress(self) -> bool:
        return "progress" in self._builtin

    @property
    def allows_checkpoints(self) -> bool:
        return "checkpoint" in self._builtin

    @property
    def allows_heartbeats(self) -> bool:
        return "heartbeat" in self._builtin

    @property
    def allows_all_custom(self) -> bool:
        return self._custom is None

    def __repr__(self) -> str:
        words = self.get_allowed_events() - MANDATORY
        for name, preset in self.PRESETS.items():
            if words == preset:
                return f"EventsFilter({'all' if preset == self.PRESETS['all'] else name!r})".replace("(all)", "('all')")
        return f"EventsFilter({sorted(words)!r})"
