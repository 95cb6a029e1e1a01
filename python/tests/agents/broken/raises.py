def inner() -> None:
    raise RuntimeError("at import")


inner()
