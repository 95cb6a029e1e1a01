"""Graphs for the tests."""

from __future__ import annotations

import asyncio
import itertools
import operator
import os
import sqlite3
import time
from typing import Annotated, Any, TypedDict

from langchain_core.language_models.fake_chat_models import GenericFakeChatModel
from langchain_core.messages import AIMessage, AIMessageChunk, AnyMessage, HumanMessage, ToolMessage
from langchain_core.runnables import RunnableConfig
from langgraph.checkpoint.memory import InMemorySaver
from langgraph.checkpoint.sqlite import SqliteSaver
from langgraph.config import get_stream_writer
from langgraph.func import entrypoint
from langgraph.graph import END, START, StateGraph
from langgraph.graph.message import add_messages
from langgraph.types import Command, interrupt

from dockrion_events import get_current_context


class State(TypedDict, total=False):
    text: str
    count: int
    other: str
    messages: Annotated[list[AnyMessage], add_messages]
    items: Annotated[list[str], operator.add]


def graph(*nodes: Any, checkpointer: Any = None, schema: Any = State, **options: Any) -> Any:
    """Nodes one behind the other."""
    builder = StateGraph(schema, **options)
    names = [START, *(node.__name__ for node in nodes), END]
    for node in nodes:
        builder.add_node(node.__name__, node)
    for before, after in itertools.pairwise(names):
        builder.add_edge(before, after)
    return builder.compile(checkpointer=checkpointer)


def first(state: State) -> Any:
    context = get_current_context()
    assert context is not None
    context.sync_emit("from_sync_node", {"run": context.run_id})
    time.sleep(0.02)
    return {"text": state.get("text", "") + "1"}


async def second(state: State) -> Any:
    context = get_current_context()
    assert context is not None
    await context.emit("from_async_node", {})
    return {"text": state["text"] + "2", "count": 5}


def nothing(state: State) -> Any:
    return None


def steps() -> Any:
    return graph(first, second, nothing)


def model(content: str = "Hello big world", **fields: Any) -> GenericFakeChatModel:
    return GenericFakeChatModel(messages=iter([AIMessage(content=content, **fields)]))


async def talks(state: State) -> Any:
    return {"messages": [await model().ainvoke([HumanMessage("hi")])]}


async def whispers(state: State) -> Any:
    await model("not heard").with_config(tags=["nostream"]).ainvoke("hi")
    return {}


def whole(state: State) -> Any:
    """A message that was not streamed."""
    return {
        "messages": [
            AIMessage(
                content=[
                    {"type": "thinking", "thinking": "hm"},
                    {"type": "text", "text": "I call"},
                ],
                id="whole-1",
                tool_calls=[{"name": "search", "args": {"q": 1}, "id": "c1"}],
                usage_metadata={
                    "input_tokens": 3,
                    "output_tokens": 4,
                    "total_tokens": 7,
                    "input_token_details": {"cache_read": 2},
                    "output_token_details": {"reasoning": 1},
                },
                response_metadata={"finish_reason": "tool_calls", "model_name": "m1"},
            )
        ]
    }


def tool(state: State) -> Any:
    return {
        "messages": [
            ToolMessage("found", tool_call_id="c1"),
            ToolMessage("failed", tool_call_id="c2", status="error"),
            HumanMessage("human"),
        ]
    }


def messages() -> Any:
    return graph(talks, whispers, whole, tool)


def piece(**fields: Any) -> AIMessageChunk:
    return AIMessageChunk(content="", **fields)


class ChunkModel(GenericFakeChatModel):
    """Streams pieces as providers do."""

    async def _astream(self, *arguments: Any, **options: Any) -> Any:
        from langchain_core.outputs import ChatGenerationChunk

        pieces = [
            AIMessageChunk(content="", additional_kwargs={"reasoning_content": "thinking"}),
            AIMessageChunk(content="Let me"),
            piece(tool_call_chunks=[{"name": "search", "args": "", "id": "c1", "index": 0}]),
            piece(tool_call_chunks=[{"name": None, "args": '{"q"', "id": None, "index": 0}]),
            piece(tool_call_chunks=[{"name": None, "args": ":1}", "id": None, "index": 0}]),
            AIMessageChunk(content="", response_metadata={"finish_reason": "tool_calls"}),
            piece(usage_metadata={"input_tokens": 3, "output_tokens": 4, "total_tokens": 7}),
        ]
        for each in pieces:
            yield ChatGenerationChunk(message=each)


async def streams(state: State) -> Any:
    return {"messages": [await ChunkModel(messages=iter([AIMessage("whole")])).ainvoke("hi")]}


def chunks() -> Any:
    return graph(streams)


def writes(state: State) -> Any:
    writer = get_stream_writer()
    writer({"type": "progress", "step": "half", "progress": 0.5})
    writer(("mine", {"a": 1}))
    writer({"no": "type"})
    writer("text")
    return {}


def writers() -> Any:
    return graph(writes)


def writes_badly(state: State) -> Any:
    get_stream_writer()({"type": "complete"})
    return {}


def bad_writer() -> Any:
    return graph(writes_badly)


def inner(state: State) -> Any:
    return {"text": state["text"] + "i"}


def nested() -> Any:
    builder = StateGraph(State)
    builder.add_node("parent", graph(inner, second))
    builder.add_edge(START, "parent")
    builder.add_edge("parent", END)
    return builder.compile()


def asks(state: State) -> Any:
    answer = interrupt({"question": "sure?"})
    return {"text": state["text"] + str(answer)}


def interrupts() -> Any:
    return graph(first, asks, checkpointer=InMemorySaver())


def interrupts_in_sqlite() -> Any:
    saver = SqliteSaver(sqlite3.connect(os.environ.get("DATABASE", ":memory:"), check_same_thread=False))
    saver.setup()
    return graph(first, asks, checkpointer=saver)


def counts(state: State) -> Any:
    return {"count": state.get("count", 0) + 1, "items": ["x"]}


def remembers() -> Any:
    return graph(counts, checkpointer=InMemorySaver())


def shows_config(state: State, config: RunnableConfig) -> Any:
    context = get_current_context()
    configurable = config["configurable"]
    return {
        "other": str(configurable.get("stream_context") is context),
        "items": [f"{key}={configurable.get(key)}" for key in ("run_id", "thread_id", "mine")]
        + [str(config.get("recursion_limit")), str(config.get("tags")), str("none" in state), str(state.get("text"))],
    }


def config() -> Any:
    return graph(shows_config)


class InputState(TypedDict, total=False):
    input: str
    text: str


def reads_input(state: InputState) -> Any:
    return {"text": str(state.get("input"))}


def state_with_input() -> Any:
    return graph(reads_input, schema=InputState)


class Output(TypedDict, total=False):
    text: str


def narrow() -> Any:
    return graph(first, second, output_schema=Output)


def slow_a(state: State) -> Any:
    time.sleep(0.15)
    return {"items": ["a"]}


def slow_b(state: State) -> Any:
    time.sleep(0.1)
    return {"items": ["b"]}


def parallel() -> Any:
    builder = StateGraph(State)
    builder.add_node("first", first)
    builder.add_node("slow_a", slow_a)
    builder.add_node("slow_b", slow_b)
    builder.add_edge(START, "first")
    builder.add_edge("first", "slow_a")
    builder.add_edge("first", "slow_b")
    return builder.compile()


@entrypoint()
def functional(payload: Any) -> Any:
    return {"doubled": payload["n"] * 2}


def function_api() -> Any:
    return functional


def jumps() -> Any:
    def router(state: State) -> Command[Any]:
        return Command(goto="last", update={"text": "jumped"})

    def last(state: State) -> Any:
        return {"count": 1}

    builder = StateGraph(State)
    builder.add_node("router", router, destinations=("last",))
    builder.add_node("last", last)
    builder.add_edge(START, "router")
    return builder.compile()


async def waits_long(state: State) -> Any:
    context = get_current_context()
    assert context is not None
    await context.emit_token("on")
    await asyncio.sleep(3600)


def waits_in_thread(state: State) -> Any:
    context = get_current_context()
    assert context is not None
    context.sync_emit_token("on")
    end = time.monotonic() + 30
    while time.monotonic() < end:
        time.sleep(0.002)
    return {}


def waiting() -> Any:
    return graph(waits_long)


def waiting_in_thread() -> Any:
    return graph(waits_in_thread)


class Streamer:
    """A graph-like object of one's own."""

    def stream(self, payload: Any, config: Any = None, stream_mode: Any = None) -> Any:
        assert config["stream_context"] is get_current_context()
        yield "messages", "Hel"
        yield "messages", ("lo", {})
        yield "custom", {"type": "mine", "modes": len(stream_mode)}
        yield {"node": {"a": 1}}
        yield "updates", {"last": {"b": payload["n"]}}

    def invoke(self, payload: Any) -> Any:
        return {"invoked": payload["n"]}


def streamer() -> Any:
    return Streamer()


class Invoker:
    def invoke(self, payload: Any, config: Any) -> Any:
        config["stream_context"].sync_emit_token("x")
        return {"invoked": payload["n"]}


def invoker() -> Any:
    return Invoker()


def uncompiled() -> Any:
    return StateGraph(State)


def fails(state: State) -> Any:
    raise ValueError("in a node")


def failing() -> Any:
    return graph(first, fails)
