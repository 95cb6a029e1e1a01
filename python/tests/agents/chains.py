"""Runnables and objects for the tests."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator
from typing import Any

from langchain_core.language_models.fake_chat_models import GenericFakeChatModel
from langchain_core.messages import AIMessage
from langchain_core.output_parsers import StrOutputParser
from langchain_core.prompts import ChatPromptTemplate
from langchain_core.runnables import RunnableConfig, RunnableLambda, RunnableParallel
from pydantic import BaseModel

from dockrion_events import StreamContext, get_current_context


def chat() -> Any:
    return GenericFakeChatModel(messages=iter([AIMessage(content="Hello big world")] * 5))


def chain() -> Any:
    return ChatPromptTemplate.from_template("{topic}") | chat() | StrOutputParser()


def parallel() -> Any:
    return RunnableParallel(a=RunnableLambda(lambda x: {"n": x["n"]}), b=RunnableLambda(lambda x: x["n"] + 1))


def configured() -> Any:
    def call(data: Any, config: RunnableConfig) -> Any:
        return {"data": data, "mine": config["configurable"].get("mine"), "context": get_current_context() is not None}

    return RunnableLambda(call)


class Answer(BaseModel):
    text: str
    score: float


def model() -> Any:
    return RunnableLambda(lambda x: Answer(text="x", score=0.5))


class AStream:
    async def astream(self, payload: Any, context: StreamContext) -> AsyncIterator[Any]:
        yield "a"
        yield {"type": "mine", "run": context.run_id}
        yield "b"

    async def ainvoke(self, payload: Any) -> Any:
        return {"ainvoked": payload}


class Stream:
    def stream(self, payload: Any) -> Iterator[Any]:
        yield "a"
        yield {"answer": Answer(text="x", score=0.5)}


class Invoke:
    def invoke(self, payload: Any) -> Any:
        context = get_current_context()
        assert context is not None
        context.sync_emit_token("x")
        return {"invoked": payload}


def astreams() -> Any:
    return AStream()


streams = Stream()


def invokes() -> Any:
    return Invoke()


def handler(payload: dict[str, Any]) -> Any:
    return {"handled": Answer(text="x", score=0.25)}
