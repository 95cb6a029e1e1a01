"""Factories of what cannot run."""


def number() -> int:
    return 5


async def later() -> int:
    return 5
