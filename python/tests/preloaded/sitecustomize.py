"""Imported by the interpreter of the zygote that most tests share, so that its workers need not import these each."""

import asyncio  # noqa: F401

import langchain_core.prompts  # noqa: F401
import langgraph.checkpoint.memory
import langgraph.checkpoint.sqlite
import langgraph.func
import langgraph.graph  # noqa: F401
import uvloop  # noqa: F401
