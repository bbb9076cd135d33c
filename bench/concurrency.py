"""Concurrency: what a guarded run costs beside others. CPU of a run at 1, 50 and 200 at once, guarded against bare.

Every run is an agent that asks a plain `ChatOpenAI` twice, over HTTP, and remembers what was said. The server is a
process of its own, so its work is not counted.
"""

import asyncio
import gc
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Annotated, Any

from langchain_core.messages import AnyMessage, HumanMessage
from langchain_openai import ChatOpenAI
from langgraph.graph import END, START, StateGraph
from typing_extensions import TypedDict

from bench.table import Row, finish
from guards import Policy, guard, trim

WIDTHS = (1, 50, 200)
BAR = 1.15
RUNS = 200
BLOCKS = 3
POLICY = Policy(clean_input=False, clean_output=False, calls_in_flight=50)
SERVER = Path(__file__).parent.parent / "tests" / "model_server.py"


class Talk(TypedDict, total=False):
    """What an agent keeps."""

    messages: Annotated[list[AnyMessage], trim()]


def drawing(url: str) -> StateGraph[Any, Any, Any, Any]:
    """An agent that thinks and answers."""
    model = ChatOpenAI(model="gpt-4o-mini", base_url=url, api_key="none")  # type: ignore[arg-type]

    async def think(state: Talk) -> Talk:
        return {"messages": [await model.ainvoke(state["messages"])]}

    async def answer(state: Talk) -> Talk:
        return {"messages": [await model.ainvoke(state["messages"])]}

    graph = StateGraph(Talk)
    graph.add_node("think", think)
    graph.add_node("answer", answer)
    graph.add_edge(START, "think")
    graph.add_edge("think", "answer")
    graph.add_edge("answer", END)
    return graph


async def _block(graph: Any, width: int) -> float:
    """CPU seconds a run, so many at once."""
    gc.collect()
    began = time.process_time()
    for _ in range(RUNS // width):
        await asyncio.gather(*(graph.ainvoke({"messages": [HumanMessage("hello")]}) for _ in range(width)))
    return (time.process_time() - began) / RUNS


async def _measured(url: str, guarded: bool) -> dict[int, float]:
    """Seconds a run by width: medians of interleaved blocks."""
    graph = guard(drawing(url), POLICY) if guarded else drawing(url).compile()
    found: dict[int, list[float]] = {width: [] for width in WIDTHS}
    for number in range(BLOCKS + 1):  # the first one warms up
        for width in WIDTHS:
            seconds = await _block(graph, width)
            if number:
                found[width].append(seconds)
    return {width: statistics.median(each) for width, each in found.items()}


def measure() -> list[Row]:
    """Guarded against bare at each width, and 200 at once against one."""
    bare, guarded = _side("bare"), _side("guarded")
    note = (
        f"concurrency: CPU per run with two calls of ChatOpenAI over HTTP, medians of {BLOCKS} blocks of {RUNS} runs, "
        "each side in a process of its own (they would share connections), ledger in SQLite, 50 calls in flight."
    )
    rows = [
        Row(f"{width} guarded run(s) at once", _ms(bare[width]), _ms(ours), ours / bare[width], BAR, note)
        for width, ours in guarded.items()
    ]
    one, many = guarded[WIDTHS[0]], guarded[WIDTHS[-1]]
    return [
        *rows,
        Row(f"one guarded run among {WIDTHS[-1]}, against alone", _ms(one), _ms(many), many / one, BAR, note),
    ]


def _side(name: str) -> dict[int, float]:
    """What a process of its own measured."""
    with tempfile.TemporaryDirectory() as data:
        env = {**os.environ, "INTERLOCK_DATA": data, "INTERLOCK_STORE": ""}
        command = [sys.executable, "-m", "bench.concurrency", "--child", name]
        done = subprocess.run(command, stdout=subprocess.PIPE, check=True, env=env)
    return {int(width): seconds for width, seconds in json.loads(done.stdout).items()}


def _ms(seconds: float) -> str:
    return f"{seconds * 1e3:.2f} ms"


def _child() -> None:
    """Measure against a server of its own."""
    with subprocess.Popen([sys.executable, str(SERVER)], stdout=subprocess.PIPE, text=True) as server:
        url = server.stdout.readline().strip().partition("=")[2] if server.stdout else ""
        print(json.dumps(asyncio.run(_measured(url, sys.argv[-1] == "guarded"))))
        server.terminate()


if __name__ == "__main__":
    if "--child" in sys.argv:
        _child()
    else:
        sys.exit(finish(measure()))
