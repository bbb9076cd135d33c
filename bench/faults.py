"""The README's table: bare against guarded on the same faults. Every cell is what a run in a process of its own did.

`python -m bench.faults`: the same drawing once `build().compile()` and once `guard(build(), POLICY)`, over the tests' model
server on loopback. A run that has not ended after `BOUND` seconds is cut off, and its cell says so.
"""

import asyncio
import os
import signal
import subprocess
import sys
import tempfile
import textwrap
import time
from collections import Counter
from collections.abc import Awaitable, Callable
from concurrent.futures import ThreadPoolExecutor
from operator import add
from pathlib import Path
from typing import Annotated, Any

from langchain_openai import ChatOpenAI
from langgraph.graph import END, START, StateGraph
from langgraph.types import RetryPolicy
from typing_extensions import TypedDict

from bench.table import markdown
from guards import Policy, Unsafe, closing, fallback, gather, guard, loop

ROOT = Path(__file__).parent.parent
BOUND = 20.0
"""Seconds that a run gets."""

POLICY = Policy(seconds=15, timeout=3, attempts=2, calls=40, clean_input=False, clean_output=False)


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
    mark = Path(os.environ["FAULTS_FOLDER"], "killed")
    known = mark.exists()
    mark.touch()
    return not known


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
    "wide": ("200 branches each call a model; 5 calls are paid for", wide, POLICY.but(calls=5), ""),
    "killed": ("SIGKILL after 2 of 4 calls, then a resume; 3 are paid for", killed, POLICY.but(calls=3), ""),
    "invented": ("the model cites only a source that does not exist", lambda: None, POLICY, "only_invented"),
}
"""By name: the fault in words, the drawing, its policy, and what the model server does."""


def graph_of(name: str, guarded: bool) -> Any:
    """The compiled graph of a row."""
    _, build, policy, _ = FAULTS[name]
    if name == "invented":
        from graphs import research

        return research.graph if guarded else research.build().compile()
    return guard(build(), policy, name=name) if guarded else build().compile()


async def tell(name: str, guarded: bool) -> str:
    """Run it and say what happened, in a few words."""
    began = time.monotonic()
    try:
        graph = graph_of(name, guarded)
    except Unsafe as refused:
        rules = sorted({hole.rule for hole in refused.holes})  # type: ignore[attr-defined]
        return f"refused before it runs: {', '.join(rules)}, each with its cure"
    try:
        result = await asyncio.wait_for(_run(name, graph), BOUND)
    except TimeoutError:
        return f"no end after {BOUND:g} s"
    except Exception as error:
        return f"raises {type(error).__name__}{_reviews()}, nothing is kept"
    return f"{_outcome(result)}{_reviews()} after {time.monotonic() - began:.1f} s"


def _reviews() -> str:
    return f", {RAN['review']:,} reviews" if RAN["review"] else ""


async def _run(name: str, graph: Any) -> dict[str, Any]:
    if name == "invented":
        question = {"question": "What did the Harbour Line cost?", "docs": [str(ROOT / "examples" / "docs")]}
        return await graph.ainvoke(question)  # type: ignore[no-any-return]
    if name != "killed":
        return await graph.ainvoke({"log": []})  # type: ignore[no-any-return]
    from langgraph.checkpoint.sqlite.aio import AsyncSqliteSaver

    folder = Path(os.environ["FAULTS_FOLDER"])
    again = "killed" in os.listdir(folder)
    async with AsyncSqliteSaver.from_conn_string(str(folder / "checkpoints.sqlite")) as saver:
        config = {"configurable": {"thread_id": "t"}}
        lasting = graph.copy(update={"checkpointer": saver})
        return await lasting.ainvoke(None if again else {"log": []}, config, durability="sync")  # type: ignore[no-any-return]


def _outcome(result: dict[str, Any]) -> str:
    log, run, answer = result.get("log", []), result.get("run"), result.get("answer")
    if answer is not None:
        kept = f"report with {len(answer.quotes)} quotes"
    else:
        last = next((name for name in ("join", "report") if name in log), "")
        kept = f"{last} ran" if last else "the join never ran" if "plan" in log else ""
    if run is None:
        return ", ".join(filter(None, ("reports success", kept)))
    return ", ".join(
        filter(None, (f"**{run.outcome}**", f"“{_short(run.stop_reason)}”" if run.stop_reason else "", kept))
    )


def _short(reason: str) -> str:
    return textwrap.shorten(reason, 64, placeholder=" …")


def cell(name: str, guarded: bool) -> str:
    """One run in a process of its own, and what the model server saw of it."""
    sys.path.insert(0, str(ROOT / "tests"))
    from model_server import ModelServer

    with ModelServer() as server, tempfile.TemporaryDirectory() as folder:
        if fault := FAULTS[name][3]:
            server.fault(fault)
        settings = {"OPENAI_BASE_URL": server.url, "OPENAI_API_KEY": "none", "LANGSMITH_TRACING": "false"}
        settings |= {"FAULTS_FOLDER": folder, "INTERLOCK_DATA": f"{folder}/data"}
        text = _child(name, guarded, settings)
        calls = len(server.calls)
        return f"{text}; {calls} model call{'s' * (calls > 1)}" if calls else text


def _child(name: str, guarded: bool, settings: dict[str, str]) -> str:
    command = [sys.executable, "-m", "bench.faults", "--run", name, "guarded" if guarded else "bare"]
    for _ in range(2):  # the second time after a SIGKILL
        try:
            done = subprocess.run(
                command, cwd=ROOT, env={**os.environ, **settings}, capture_output=True, text=True, timeout=2 * BOUND
            )
        except subprocess.TimeoutExpired:
            return f"no end after {2 * BOUND:g} s, and it cannot be cancelled"
        if done.returncode != -signal.SIGKILL:
            break
    return done.stdout.strip().splitlines()[-1] if done.returncode == 0 else f"exit code {done.returncode}"


def main() -> None:
    """Print the table; the runs take turns four at a time, since most of them wait."""
    cells = [(name, guarded) for name in FAULTS for guarded in (False, True)]
    with ThreadPoolExecutor(4) as pool:
        told = dict(zip(cells, pool.map(lambda one: cell(*one), cells), strict=True))
    rows = [(FAULTS[name][0], told[name, False], told[name, True]) for name in FAULTS]
    print(markdown(("fault", "bare", "guarded"), rows), flush=True)


if __name__ == "__main__":
    if "--run" in sys.argv:
        which, how = sys.argv[sys.argv.index("--run") + 1 :][:2]
        print(asyncio.run(tell(which, how == "guarded")), flush=True)
    else:
        main()
