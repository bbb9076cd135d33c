"""The shape of the research graph with nodes that do nothing, or that wait: what is left is the graph itself."""

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from operator import add
from typing import Annotated, Any

from langgraph.graph import END, START, StateGraph
from typing_extensions import TypedDict

from guards import Policy, closing, fallback, gather, loop

POLICY = Policy(clean_input=False, clean_output=False)
"""The default limits; the nodes here are no agents, so nothing is there to be cleaned."""


class Shape(TypedDict, total=False):
    """A state of the size of a small question's."""

    question: str
    queries: list[str]
    collected: Annotated[list[str], add]
    evidence: list[str]
    followed: bool
    draft: str
    approved: bool


Node = Callable[[Shape], Awaitable[Shape]]


def node(name: str, update: Shape) -> Node:
    """A node that returns the same update at once."""

    async def body(state: Shape) -> Shape:
        return update

    body.__name__ = name
    return body


def collector(name: str, seconds: float) -> Node:
    """A collector that answers after so many seconds; at 0 it does not give up the event loop either."""

    async def body(state: Shape) -> Shape:
        if seconds:
            await asyncio.sleep(seconds)
        return {"collected": [f"{name} found a passage"]}

    body.__name__ = name
    return body


def looked_twice(state: Shape) -> bool:
    """The second round is over."""
    return state.get("followed", False)


def approved(state: Shape) -> bool:
    """The reviewer has no objection."""
    return state.get("approved", False)


def collectors(number: int, seconds: float = 0.0) -> list[Node]:
    """So many collectors that all take so many seconds."""
    return [collector(f"collector_{index}", seconds) for index in range(number)]


def research_shape(branches: Sequence[Node] = ()) -> StateGraph[Any, Any, Any, Any]:
    """Clean, plan, collect side by side, merge, collect once more, write, review, publish, clean.

    Args:
        branches: What runs side by side in each of the two rounds; none: three collectors of 0 ms.
    """
    graph: StateGraph[Any, Any, Any, Any] = StateGraph(Shape)
    plain = node("plain", {"draft": "assembled"})
    graph.add_node("clean_input", closing(node("clean_input", {})))
    graph.add_node("plan", fallback(node("plan", {"queries": ["q"]}), plain))
    graph.add_node("merge", closing(node("merge", {"evidence": ["e"]})))
    graph.add_node("follow_up", node("follow_up", {"queries": ["q2"], "followed": True}))
    graph.add_node("write", fallback(node("write", {"draft": "d"}), plain))
    graph.add_node("review", fallback(node("review", {"approved": True}), plain))
    graph.add_node("publish", closing(node("publish", {})))
    graph.add_node("clean_output", closing(node("clean_output", {})))
    graph.add_edge(START, "clean_input")
    graph.add_edge("clean_input", "plan")
    gather(graph, ["plan", "follow_up"], branches or collectors(3), into="merge", min_ok=0)
    loop(graph, "merge", back_to="follow_up", until=looked_twice, at_most=2, then="write", enough=True)
    graph.add_edge("write", "review")
    loop(graph, "review", back_to="write", until=approved, at_most=3, then="publish")
    graph.add_edge("publish", "clean_output")
    graph.add_edge("clean_output", END)
    return graph
