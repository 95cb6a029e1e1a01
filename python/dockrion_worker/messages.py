"""LangChain's messages as events. Nothing of LangChain is imported: messages are known by their `type`."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

Event = tuple[str, dict[str, Any]]


def is_message(value: Any) -> bool:
    if not isinstance(getattr(value, "type", None), str):
        return False
    return hasattr(value, "content") and hasattr(value, "additional_kwargs")


def _blocks(message: Any) -> list[Any]:
    content = message.content
    return content if isinstance(content, list) else []


def text_of(message: Any) -> str:
    """The text of a message: its content, or the text blocks of it."""
    content = message.content
    if isinstance(content, str):
        return content
    texts = []
    for block in _blocks(message):
        if isinstance(block, str):
            texts.append(block)
        elif isinstance(block, Mapping) and block.get("type") == "text" and isinstance(block.get("text"), str):
            texts.append(block["text"])
    return "".join(texts)


def _reasoning_of(message: Any) -> str:
    texts = []
    for block in _blocks(message):
        if not isinstance(block, Mapping):
            continue
        if block.get("type") == "thinking":
            texts.append(block.get("thinking"))
        elif block.get("type") == "reasoning":
            texts.append(block.get("reasoning"))
            for part in block.get("summary") or ():
                texts.append(part.get("text") if isinstance(part, Mapping) else None)
        elif block.get("type") == "reasoning_content":
            inner = block.get("reasoning_content")
            texts.append(inner.get("text") if isinstance(inner, Mapping) else inner)
    further = message.additional_kwargs
    if isinstance(further, Mapping):
        texts.append(further.get("reasoning_content"))
    return "".join(text for text in texts if isinstance(text, str))


def _present(**fields: Any) -> dict[str, Any]:
    return {name: value for name, value in fields.items() if value is not None}


def _tool_calls(message: Any) -> Iterable[Event]:
    chunks = getattr(message, "tool_call_chunks", None)
    if chunks:
        for each in chunks:
            fields = _present(id=each.get("id"), name=each.get("name"), args=each.get("args"), index=each.get("index"))
            if fields:
                yield "tool_call", fields
        return
    for index, each in enumerate(getattr(message, "tool_calls", None) or ()):
        yield "tool_call", _present(id=each.get("id"), name=each.get("name"), args=each.get("args"), index=index)


def _usage(message: Any, metadata: Mapping[str, Any]) -> Event | None:
    usage = getattr(message, "usage_metadata", None)
    if not isinstance(usage, Mapping):
        return None
    response = getattr(message, "response_metadata", None) or {}
    return "usage", {
        "input_tokens": usage.get("input_tokens", 0),
        "output_tokens": usage.get("output_tokens", 0),
        **_present(
            reasoning_tokens=(usage.get("output_token_details") or {}).get("reasoning"),
            cached_input_tokens=(usage.get("input_token_details") or {}).get("cache_read"),
            model=response.get("model_name") or response.get("model") or metadata.get("ls_model_name"),
        ),
    }


class MessageEvents:
    """The events of one run's messages. A whole message is nothing new where its pieces have been streamed."""

    def __init__(self) -> None:
        self._streamed: set[str] = set()

    def of(self, message: Any, metadata: Mapping[str, Any]) -> list[Event]:
        if "nostream" in (metadata.get("tags") or ()) or not is_message(message):
            return []
        if message.type in ("tool", "ToolMessageChunk"):
            return self._of_tool(message)
        if message.type not in ("ai", "AIMessageChunk"):
            return []
        identity = getattr(message, "id", None)
        if message.type == "ai" and identity is not None and identity in self._streamed:
            return []
        if identity is not None:
            self._streamed.add(identity)
        return self._of_model(message, metadata)

    def _of_tool(self, message: Any) -> list[Event]:
        fields = _present(id=getattr(message, "tool_call_id", None))
        fields["output"] = message.content
        if getattr(message, "status", None) == "error":
            fields["is_error"] = True
        return [("tool_result", fields)]

    def _of_model(self, message: Any, metadata: Mapping[str, Any]) -> list[Event]:
        events: list[Event] = []
        reasoning = _reasoning_of(message)
        if reasoning:
            events.append(("reasoning", {"content": reasoning}))
        text = text_of(message)
        response = getattr(message, "response_metadata", None) or {}
        reason = response.get("finish_reason")
        # The last piece of a stream has no text, as a rule, but says why the model has ended.
        if text or isinstance(reason, str):
            token = {"content": text}
            if isinstance(reason, str):
                token["finish_reason"] = reason
            events.append(("token", token))
        events.extend(_tool_calls(message))
        usage = _usage(message, metadata)
        if usage is not None:
            events.append(usage)
        return events
