"""Faulty: small drawings with one fault each, as an author would draw them who thinks of nothing bad."""

import os
import signal
from collections import Counter
from collections.abc import Awaitable, Callable
from operator import add
from pathlib import Path
from typing import Annotated, Any

from langchain_openai import ChatOpenAI
from langgraph.graph import END, START, StateGraph
from langgraph.types import RetryPolicy
from typing_extensions import TypedDict

from guards import Policy, closing, fallback, gather, loop

POLICY = Policy(seconds=60, timeout=4, attempts=2, calls=40, clean_input=False, clean_output=False)


class Work(TypedDict, total=False):
    """The state of the small drawings."""

    log: Annotated[list[str], add]


Node = Callable[[Work], Awaitable[Work]]

RAN: Counter[str] = Counter()
"""How often each node of this process ran."""


def says(name: str) -> Node:
    """A node that works."""

    async def node(state: Work) -> Work:
        RAN[name] += 1
        return {"log": [name]}

    node.__name__ = name
    return node


async def ask(state: Any) -> Work:
    """A node that asks a plain model of LangChain's."""
    await _model(max_retries=0)
    return {"log": ["asked"]}


async def insist(state: Work) -> Work:
    """The same with the client's own retries."""
    await _model()
    return {"log": ["asked"]}


async def _model(**more: Any) -> None:
    await ChatOpenAI(model="gpt-4o-mini", base_url=os.environ["OPENAI_BASE_URL"], **more).ainvoke("hello")


async def broken(state: Work) -> Work:
    """A branch that fails."""
    raise ValueError("broken")


async def die_once(state: Work) -> Work:
    """Kill the process at the first call."""
    if _first_time():
        os.kill(os.getpid(), signal.SIGKILL)
    return {}


def _first_time() -> bool:
    """True once, whatever dies afterwards."""
    known = was_killed()
    Path(os.environ["FAULTS_FOLDER"], "killed").touch()
    return not known


def was_killed() -> bool:
    """Whether this is the process after the one that died."""
    return Path(os.environ["FAULTS_FOLDER"], "killed").exists()


def chain(*nodes: Any) -> StateGraph[Any, Any, Any, Any]:
    """One node after the other."""
    graph: StateGraph[Any, Any, Any, Any] = StateGraph(Work)
    for before, node in zip((None, *nodes), nodes, strict=False):
        graph.add_node(node.__name__, node)
        graph.add_edge(START if before is None else before.__name__, node.__name__)
    graph.add_edge(nodes[-1].__name__, END)
    return graph


def silent_model() -> StateGraph[Any, Any, Any, Any]:
    """A model call that never comes back."""
    return chain(fallback(ask, says("plain")), closing(says("report")))


def lost_branch() -> StateGraph[Any, Any, Any, Any]:
    """One of three branches fails before a join."""
    graph = chain(says("plan"))
    graph.edges.discard(("plan", END))
    gather(graph, "plan", [says("a"), says("b"), broken], into=closing(says("join")))
    graph.add_edge("join", END)
    return graph


def handled_branch() -> StateGraph[Any, Any, Any, Any]:
    """The same with LangGraph's own error handler on the branch."""
    graph = lost_branch()
    del graph.nodes["broken"]
    graph.add_node("broken", broken, error_handler=_handler)
    return graph


async def _handler(state: Work) -> Work:
    return {"log": ["handled"]}


def stubborn_reviewer() -> StateGraph[Any, Any, Any, Any]:
    """A reviewer that never approves."""
    graph = chain(says("write"), says("review"))
    graph.edges.discard(("review", END))
    graph.add_node("report", closing(says("report")))
    loop(graph, "review", back_to="write", until=lambda state: False, then="report")
    graph.add_edge("report", END)
    return graph


def storm() -> StateGraph[Any, Any, Any, Any]:
    """A server that answers 500; the client retries."""
    return chain(fallback(ask, says("plain")), closing(says("report")))


def two_floors() -> StateGraph[Any, Any, Any, Any]:
    """The same with retries in the node and in the client."""
    graph: StateGraph[Any, Any, Any, Any] = StateGraph(Work)
    graph.add_node("insist", insist, retry_policy=RetryPolicy(initial_interval=0.1, max_attempts=3))
    graph.add_edge(START, "insist")
    graph.add_edge("insist", END)
    return graph


def wide() -> StateGraph[Any, Any, Any, Any]:
    """A fan-out of 200 model calls on a budget of 5."""
    graph = chain(says("plan"))
    graph.edges.discard(("plan", END))
    gather(graph, "plan", ask, over=lambda state: [{}] * 200, at_most=200, into=closing(says("join")))
    graph.add_edge("join", END)
    return graph


def killed() -> StateGraph[Any, Any, Any, Any]:
    """Two calls, a SIGKILL, and after the resume two more, on a budget of three."""
    one, two, three, four = (_named(name, ask) for name in ("one", "two", "three", "four"))
    return chain(one, two, die_once, three, four)


def _named(name: str, node: Node) -> Node:
    async def named(state: Work) -> Work:
        return await node(state)

    named.__name__ = name
    return named


FAULTS: dict[str, tuple[str, Callable[[], Any], Policy, str]] = {
    "silent": ("the model accepts a request and never answers", silent_model, POLICY, "hang"),
    "branch": ("one of three branches fails before the join", lost_branch, POLICY, ""),
    "handler": ("the same, with LangGraph's error handler on it", handled_branch, POLICY, ""),
    "reviewer": ("a reviewer never approves", stubborn_reviewer, POLICY, ""),
    "storm": ("the server answers every request with 500", storm, POLICY, "500"),
    "retries": ("the same, with retries in the node and in the client", two_floors, POLICY, "500"),
    "wide": ("200 branches each call a model; 5 calls are paid for", wide, POLICY.but(calls=5, timeout=20), ""),
    "killed": ("SIGKILL after 2 of 4 calls, then a resume; 3 are paid for", killed, POLICY.but(calls=3), ""),
    "invented": ("the model cites only a source that does not exist", lambda: None, POLICY, "only_invented"),
}
"""By name: the fault in words, the drawing, its policy, and what the model server does."""
