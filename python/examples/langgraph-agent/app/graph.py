"""Two nodes: one looks the order up, one has a model put the answer into words.

The model is a fake that repeats a sentence word by word; put a chat model of a provider in its place.
"""

from __future__ import annotations

import re
from typing import Any, TypedDict

from langchain_core.language_models.fake_chat_models import GenericFakeChatModel
from langchain_core.messages import AIMessage
from langgraph.graph import END, START, StateGraph

from dockrion_events import get_current_context

ORDERS = {"42": "on its way", "43": "delivered"}


class State(TypedDict, total=False):
    question: str
    order: dict[str, str]
    answer: str


def look_up(state: State) -> State:
    context = get_current_context()
    found = re.search(r"\d+", state["question"])
    number = found.group() if found else ""
    order = {"number": number, "status": ORDERS.get(number, "unknown")}
    if context is not None:
        context.sync_emit_progress("look_up", 0.5, f"order {number or '?'}")
        context.sync_emit("order", dict(order))
    return {"order": order}


async def answer(state: State) -> State:
    order = state["order"]
    sentence = f"Your order {order['number']} is {order['status']}."
    model = GenericFakeChatModel(messages=iter([AIMessage(content=sentence)]))
    reply = await model.ainvoke(state["question"])
    return {"answer": str(reply.content)}


def build_graph() -> Any:
    builder = StateGraph(State)
    builder.add_node("look_up", look_up)
    builder.add_node("answer", answer)
    builder.add_edge(START, "look_up")
    builder.add_edge("look_up", "answer")
    builder.add_edge("answer", END)
    return builder.compile()
