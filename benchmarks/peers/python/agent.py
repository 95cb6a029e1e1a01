"""What the built-in agents of dockrion do, for the Python original: echo, and tokens with pauses."""

import time

from dockrion_events import get_current_context


def handle(payload):
    tokens = payload.get("tokens")
    if tokens is None:
        return {"text": payload.get("text")}
    context = get_current_context()
    interval = (payload.get("interval_ms") or 0) / 1000
    for index in range(tokens):
        if interval and index:
            time.sleep(interval)
        if context:
            context.sync_emit_token(f"tok{index} ")
    return {"tokens": tokens}
