"""Faulty: one small research job, drawn as an author would who thinks of nothing bad, and what can go wrong in it.

Three sources are asked side by side, merged, written up by a model and reviewed by one until it approves. The model is
a plain `ChatOpenAI`. The bare job has no cleaning nodes; the guard insists on them.
"""

import asyncio
import json
import os
import signal
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from functools import partial
from operator import add
from pathlib import Path
from typing import Annotated, Any

from langchain_core.messages import AIMessage, AnyMessage, HumanMessage, SystemMessage, ToolMessage
from langchain_openai import ChatOpenAI
from langgraph.graph import END, START, StateGraph
from langgraph.types import RetryPolicy
from typing_extensions import TypedDict

from guards import INPUT, OUTPUT, Policy, clean, closing, fallback, gather, loop

POLICY = Policy(seconds=12, timeout=4, attempts=2, calls=40)
SLOW_SECONDS = 0.5
"""What two of the three sources take."""


class Job(TypedDict, total=False):
    """The state of every drawing here."""

    question: str
    found: Annotated[list[str], add]
    draft: str
    approved: bool
    messages: Annotated[list[AnyMessage], add]
    report: str


Node = Callable[[Job], Awaitable[Job]]
Graph = StateGraph[Any, Any, Any, Any]

QUESTION: Job = {"question": "What did the harbour line cost?"}


async def asked(role: str, text: str, **more: Any) -> str:
    """What a plain model of LangChain's says."""
    model = ChatOpenAI(model="gpt-4o-mini", base_url=os.environ["OPENAI_BASE_URL"], **more)
    reply = await model.ainvoke([SystemMessage(f"You are the {role}."), HumanMessage(text)])
    return reply.text


def source(name: str, seconds: float = SLOW_SECONDS) -> Node:
    """A source that answers after a while."""

    async def node(state: Job) -> Job:
        await asyncio.sleep(seconds)
        return {"found": [name]}

    return named(name, node)


async def broken(state: Job) -> Job:
    """A source that fails at once."""
    raise ValueError("broken")


async def merge(state: Job) -> Job:
    """Put in order what was found."""
    return {"found": ["merged"]}


async def write(state: Job) -> Job:
    """Let a model write."""
    said = json.loads(await asked("writer", f"{state['question']} {state['found']}"))
    return {"draft": " ".join(claim["text"] for claim in said["claims"])}


async def assemble(state: Job) -> Job:
    """The draft that needs no model."""
    return {"draft": f"Found in {', '.join(state['found'])}."}


async def review(state: Job) -> Job:
    """Let a model judge the draft."""
    return {"approved": json.loads(await asked("reviewer", state["draft"]))["approved"]}


async def accept(state: Job) -> Job:
    """The verdict that needs no model."""
    return {"approved": True}


async def report(state: Job) -> Job:
    """Make the report."""
    return {"report": state.get("draft") or "nothing was written"}


def named(name: str, node: Node) -> Node:
    """The node under a name of its own."""
    node.__name__ = name
    return node


def job(facts: Node | None = None, *, cleaned: bool) -> Graph:
    """The research job."""
    graph: Graph = StateGraph(Job)
    for node in (merge, fallback(write, assemble), fallback(review, accept), closing(report)):
        graph.add_node(node.__name__, node)
    first, last = _ends(graph, cleaned)
    gather(graph, first, [source("files"), facts or source("facts", 0), source("pages")], into="merge")
    graph.add_edge("merge", "write")
    graph.add_edge("write", "review")
    loop(graph, "review", back_to="write", until=lambda state: state.get("approved", False), then="report")
    graph.add_edge("report", last)
    return graph


def _ends(graph: Graph, cleaned: bool) -> tuple[str, str]:
    """Where it begins and ends: at cleaning nodes if it has them."""
    if not cleaned:
        graph.add_node("begin", named("begin", _pass))
        graph.add_edge(START, "begin")
        return "begin", END
    graph.add_node("clean_input", clean(INPUT, "question"))
    graph.add_node("clean_output", clean(OUTPUT, "report"))
    graph.add_edge(START, "clean_input")
    graph.add_edge("clean_output", END)
    return "clean_input", "clean_output"


async def _pass(state: Job) -> Job:
    return {}


def handled(*, cleaned: bool) -> Graph:
    """The job with a broken source and LangGraph's own error handler on it."""
    graph = job(broken, cleaned=cleaned)
    del graph.nodes["broken"]
    graph.add_node("broken", broken, error_handler=named("handler", _pass))
    return graph


def retried(*, cleaned: bool) -> Graph:
    """The job with retries of LangGraph's in the node that calls the model, which retries too."""
    graph = job(cleaned=cleaned)
    del graph.nodes["write"]
    graph.add_node("write", write, retry_policy=RetryPolicy(initial_interval=0.1, max_attempts=3))
    return graph


def chained(*nodes: Node, cleaned: bool) -> Graph:
    """Nodes one after the other, then the report."""
    graph: Graph = StateGraph(Job)
    graph.add_node("report", closing(report))
    before, last = _ends(graph, cleaned)
    for node in nodes:
        graph.add_node(node.__name__, node)
        graph.add_edge(before, node.__name__)
        before = node.__name__
    graph.add_edge(before, "report")
    graph.add_edge("report", last)
    return graph


def tools(*, cleaned: bool) -> Graph:
    """An agent that never stops to call a tool."""

    async def agent(state: Job) -> Job:
        said = await asked("agent", f"{state['question']} {len(state.get('messages', ()))}")
        call = {"name": "look", "args": {"at": said}, "id": f"call-{len(state.get('messages', ()))}"}
        return {"messages": [AIMessage("", tool_calls=[call])]}

    async def look(state: Job) -> Job:
        call = state["messages"][-1].tool_calls[0]  # type: ignore[union-attr]
        return {"messages": [ToolMessage("nothing there", tool_call_id=call["id"])], "found": ["looked"]}

    graph: Graph = StateGraph(Job)
    for node in (agent, look, closing(report)):
        graph.add_node(node.__name__, node)
    first, last = _ends(graph, cleaned)
    graph.add_edge(first, "agent")
    graph.add_edge("look", "agent")
    loop(graph, "agent", back_to="look", until=lambda state: not state["messages"][-1].tool_calls, then="report")
    graph.add_edge("report", last)
    return graph


def wide(*, cleaned: bool) -> Graph:
    """A fan-out of 200 model calls."""

    async def look(state: Job) -> Job:
        return {"found": [await asked("chat", "anything?", max_retries=0)]}

    graph: Graph = StateGraph(Job)
    for node in (look, merge, closing(report)):
        graph.add_node(node.__name__, node)
    first, last = _ends(graph, cleaned)
    gather(graph, first, "look", over=lambda state: [{}] * 200, at_most=200, into="merge")
    graph.add_edge("merge", "report")
    graph.add_edge("report", last)
    return graph


def killed(*, cleaned: bool) -> Graph:
    """Two calls, a SIGKILL, and after the resume two more."""

    async def ask(state: Job) -> Job:
        return {"found": [await asked("chat", "anything?", max_retries=0)]}

    async def die_once(state: Job) -> Job:
        if not was_killed():
            _mark().touch()
            os.kill(os.getpid(), signal.SIGKILL)
        return {}

    def copy(name: str) -> Node:
        async def node(state: Job) -> Job:
            return await ask(state)

        return named(name, node)

    return chained(copy("one"), copy("two"), die_once, copy("three"), copy("four"), cleaned=cleaned)


def _mark() -> Path:
    return Path(os.environ["FAULTS_FOLDER"], "killed")


def was_killed() -> bool:
    """Whether this is the process after the one that died."""
    return _mark().exists()


@dataclass(frozen=True)
class Case:
    """One fault.

    Attributes:
        words: What goes wrong.
        build: The drawing.
        fault: What the model server does, with the fault's details.
        said: What the writer says, if not what it should.
        policy: The limits.
        interrupt: "cancel" or "SIGINT", when a call is open.
    """

    words: str
    build: Callable[..., Graph] = job
    fault: dict[str, Any] = field(default_factory=dict)
    said: str = "It cost 4 million."
    policy: Policy = POLICY
    interrupt: str = ""


def _model(kind: str, **more: Any) -> dict[str, Any]:
    return {"kind": kind, "role": "writer", **more}


CASES = {
    "hang": Case("the model never answers", fault=_model("hang")),
    "drip": Case("the model drips a byte a second", fault=_model("drip", every=1.0)),
    "wait": Case("429 with Retry-After: 60", fault=_model("429", retry_after=60)),
    "storm": Case("500 to every request", fault=_model("500")),
    "reset": Case("every connection is reset", fault=_model("reset")),
    "json": Case("the model's JSON is cut", fault=_model("broken_json")),
    "branch": Case("a source fails beside slow ones", partial(job, broken)),
    "handler": Case("the same, with LangGraph's error handler", handled),
    "reviewer": Case("the reviewer never approves", fault={"kind": "never_approves"}),
    "tools": Case("an endless loop of tool calls", tools),
    "large": Case("a reply of 1 MB", said="x" * 1_000_000),
    "card": Case("the reply holds a card number", said="Paid with 4111-1111-1111-1111."),
    "retries": Case("500, retried by node and client", retried, fault=_model("500")),
    "wide": Case("200 branches call a model, 5 calls are paid for", wide, policy=POLICY.but(calls=5)),
    "killed": Case("SIGKILL after 2 of 4 calls, 3 are paid for", killed, policy=POLICY.but(calls=3)),
    "cancel": Case("cancelled with a call open", fault=_model("hang"), interrupt="cancel"),
    "ctrl_c": Case("Ctrl-C with a call open", fault=_model("hang"), interrupt="SIGINT"),
}
"""By name."""
