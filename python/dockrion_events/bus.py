"""Names of the original package's event bus. The server has the events; there is no bus in the agent's process."""

from __future__ import annotations

from typing import Any, NoReturn


def refuse(name: str) -> NoReturn:
    raise RuntimeError(
        f"{name} cannot be made here: the server keeps runs and their events. Emit by get_current_context(), or in "
        "tests by StreamContext(run_id, queue_mode=True)"
    )


class EventBus:
    """Can be imported for annotations; making one raises `RuntimeError`."""

    def __init__(self, *_arguments: Any, **_options: Any) -> None:
        refuse(type(self).__name__)


class EventBusFactory:
    """As `EventBus`."""

    @staticmethod
    async def create(backend_type: str = "memory", **_options: Any) -> EventBus:
        refuse("EventBus")


def create_event_bus(backend_type: str = "memory", **_options: Any) -> EventBus:
    refuse("EventBus")
