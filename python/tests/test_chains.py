"""LangChain's Runnables and custom objects, with the real packages."""

from __future__ import annotations

from typing import Any

from driver import AGENTS, running, zygote

TOKENS = [("token", {"content": text}) for text in ("Hello", " ", "big", " ", "world")]


def agent(name: str, framework: str = "langchain") -> dict[str, str]:
    return {"entrypoint": f"chains:{name}", "framework": framework}


def test_a_chat_models_messages_are_tokens() -> None:
    with running(AGENTS, agent("chat")) as worker:
        assert worker.run(1, {"input": "hi"}) == (TOKENS, {"text": "Hello big world"})
        assert worker.run(2, {"input": "hi"}, mode="invoke") == ([], {"text": "Hello big world"})


def test_a_chain_gets_the_payload_and_streams_text() -> None:
    with running(AGENTS, agent("chain")) as worker:
        assert worker.ready()["kind"] == "langchain"
        assert worker.run(1, {"topic": "x"}) == (TOKENS, {"text": "Hello big world"})
        assert worker.run(2, {"topic": "x"}, mode="invoke")[1] == {"text": "Hello big world"}
        worker.start(3, {})
        assert worker.failure(3)["code"] == "AGENT_ERROR"
    with running(AGENTS, agent("chain"), properties=["topic"]) as worker:
        assert worker.run(1, {})[1] == {"text": "Hello big world"}


def test_dicts_are_added_up_and_are_no_tokens() -> None:
    with running(AGENTS, agent("parallel")) as worker:
        assert worker.run(1, {"n": 3}) == ([], {"a": {"n": 3}, "b": 4})
        assert worker.run(2, {"n": 3}, mode="invoke") == ([], {"a": {"n": 3}, "b": 4})


def test_input_alone_or_with_config_is_handed_over() -> None:
    with running(AGENTS, agent("configured")) as worker:
        config = {"configurable": {"mine": 5}}
        assert worker.run(1, {"input": [1], "config": config})[1] == {"data": [1], "mine": 5, "context": True}
        assert worker.run(2, {"input": "x"}, mode="invoke")[1] == {"data": "x", "mine": None, "context": True}
        assert worker.run(3, {"other": 1})[1]["data"] == {"other": 1}
        worker.start(4, {"input": 1, "config": {"callbacks": 1}})
        assert worker.failure(4)["code"] == "VALIDATION_ERROR"


def test_a_runnable_that_gives_neither_text_nor_dicts() -> None:
    with running(AGENTS, agent("model")) as worker:
        for number, mode in ((1, "run"), (2, "invoke")):
            worker.start(number, {}, mode=mode)
            failure = worker.failure(number)
            assert failure["code"] == "INVALID_OUTPUT"
            assert "Answer" in failure["error"]


def test_custom_objects_by_their_methods() -> None:
    with running(AGENTS, agent("astreams", "custom")) as worker:
        events: Any = [("token", {"content": "a"}), ("mine", {"run": "run-1"}), ("token", {"content": "b"})]
        assert worker.run(1, {}) == (events, {"text": "ab"})
        assert worker.run(2, {"n": 1}, mode="invoke") == ([], {"ainvoked": {"n": 1}})
    with running(AGENTS, agent("streams", "custom")) as worker:
        expected = {"answer": {"text": "x", "score": 0.5}}
        assert worker.run(1, {}) == ([("token", {"content": "a"})], expected)
        assert worker.run(2, {}, mode="invoke") == ([], expected)
    with running(AGENTS, agent("invokes", "custom")) as worker:
        assert worker.ready()["async"] is False
        assert worker.run(1, {"n": 1}) == ([("token", {"content": "x"})], {"invoked": {"n": 1}})


def test_a_function_that_needs_an_argument_is_a_handler() -> None:
    with running(AGENTS, agent("handler", "custom")) as worker:
        assert worker.ready()["kind"] == "custom"
        assert worker.run(1, {})[1] == {"handled": {"text": "x", "score": 0.25}}


def test_what_is_no_runnable_is_told() -> None:
    with zygote(AGENTS, agent("invokes", "langchain")) as started:
        assert started.wait_for("fatal")["message"].endswith("chains.Invoke, which is no Runnable: it lacks astream")
