"""Small drawings and nodes that the guards' tests share."""

import asyncio
import os
from collections.abc import Awaitable, Callable
from operator import add
from typing import Annotated, Any

import pytest
from langgraph.graph import END, START, StateGraph
from typing_extensions import TypedDict

from guards import Policy
from guards.stores import Store

LOOSE = Policy(seconds=300, timeout=60, attempts=1, clean_input=False, clean_output=False)
"""Limits that do not matter, for drawings of nodes that are no agents."""


class Log(TypedDict, total=False):
    """State of the tests' graphs."""

    log: Annotated[list[str], add]
    topic: str


class Written(TypedDict, total=False):
    """What their nodes return."""

    log: list[str]


Node = Callable[[Log], Awaitable[Written]]


def keep_books_in(books: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    """Ledger, breakers and rates of this test go into this store."""
    chosen = os.getpid(), os.environ.get("INTERLOCK_STORE", ""), os.environ.get("INTERLOCK_DATA", "")
    monkeypatch.setattr("guards.stores.chosen._stores", {chosen: books})


def named(name: str, node: Node) -> Node:
    """The node under a name of its own."""
    node.__name__ = name
    return node


def says(name: str) -> Node:
    """A node that works."""

    async def node(state: Log) -> Written:
        return {"log": [name]}

    return named(name, node)


def raises(name: str, error: Callable[[], BaseException]) -> Node:
    """A node that fails."""

    async def node(state: Log) -> Written:
        raise error()

    return named(name, node)


def hangs(name: str) -> Node:
    """A node that never answers."""

    async def node(state: Log) -> Written:
        await asyncio.Event().wait()
        return {}

    return named(name, node)


def swallows(name: str) -> Node:
    """A node that never answers and ignores being cancelled once."""

    async def node(state: Log) -> Written:
        for _ in range(2):
            try:
                await asyncio.Event().wait()
            except asyncio.CancelledError:
                continue
        return {"log": ["late"]}

    return named(name, node)


def chain(*nodes: Any) -> StateGraph[Any, Any, Any, Any]:
    """START, the nodes one after the other, END."""
    graph: StateGraph[Any, Any, Any, Any] = StateGraph(Log)
    before = START
    for node in nodes:
        graph.add_node(node.__name__, node)
        graph.add_edge(before, node.__name__)
        before = node.__name__
    graph.add_edge(before, END)
    return graph
