"""Concurrency: what a guarded run costs beside others. CPU of a run at 1, 50 and 200 at once, guarded against bare.

Every run is an agent that asks a plain `ChatOpenAI` twice, over HTTP, and remembers what was said. The server is a
process of its own, so its work is not counted.
"""

import asyncio
import gc
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Annotated, Any, cast

from langchain_core.messages import AnyMessage, HumanMessage
from langchain_openai import ChatOpenAI
from langgraph.graph import END, START, StateGraph
from typing_extensions import TypedDict

from bench.table import Row, finish
from guards import Policy, guard, trim

WIDTHS = (1, 50, 200)
BAR = 1.15
RUNS = 200
BLOCKS = 5
IN_FLIGHT = 16
"""httpcore looks at every idle connection at each call: 16 open ones keep a core busy here, 50 cost a fifth more."""

POLICY = Policy(clean_input=False, clean_output=False, calls_in_flight=IN_FLIGHT)
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


def measure() -> list[Row]:
    """Guarded against bare at each width, and 200 at once against one."""
    with _side("bare") as bare, _side("guarded") as guarded:
        blocks = {width: [(bare(width), guarded(width)) for _ in range(1 + BLOCKS)][1:] for width in WIDTHS}
    note = (
        f"concurrency: CPU per run with two calls of ChatOpenAI over HTTP, {BLOCKS} interleaved blocks of {RUNS} runs, "
        "each side in a process of its own (they would share connections); ratio = median of the blocks' ratios, times "
        f"= medians; ledger in SQLite, {IN_FLIGHT} calls in flight."
    )
    middle = {width: tuple(map(statistics.median, zip(*pairs, strict=True))) for width, pairs in blocks.items()}
    rows = [
        Row(
            f"{width} guarded run(s) at once",
            *map(_ms, middle[width]),
            statistics.median(ours / base for base, ours in pairs),
            BAR,
            note,
        )
        for width, pairs in blocks.items()
    ]
    one, many = middle[WIDTHS[0]][1], middle[WIDTHS[-1]][1]
    return [
        *rows,
        Row(f"one guarded run among {WIDTHS[-1]}, against alone", _ms(one), _ms(many), many / one, BAR, note),
    ]


@contextmanager
def _side(name: str) -> Iterator[Callable[[int], float]]:
    """A process of its own that measures a block when it is told a width."""
    with tempfile.TemporaryDirectory() as data:
        env = {**os.environ, "INTERLOCK_DATA": data, "INTERLOCK_STORE": ""}
        command = [sys.executable, "-m", "bench.concurrency", "--child", name]
        with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, env=env) as child:
            asks, answers = cast("IO[str]", child.stdin), cast("IO[str]", child.stdout)

            def block(width: int) -> float:
                print(width, file=asks, flush=True)
                return float(answers.readline())

            yield block
            asks.close()


def _ms(seconds: float) -> str:
    return f"{seconds * 1e3:.2f} ms"


def _child() -> None:
    """Measure what is asked for, against a server of its own."""
    with subprocess.Popen([sys.executable, str(SERVER)], stdout=subprocess.PIPE, text=True) as server:
        graph = drawing(cast("IO[str]", server.stdout).readline().strip().partition("=")[2])
        ours = guard(graph, POLICY) if sys.argv[-1] == "guarded" else graph.compile()
        with asyncio.Runner() as runner:
            for width in sys.stdin:
                print(runner.run(_block(ours, int(width))), flush=True)
        server.terminate()


if __name__ == "__main__":
    if "--child" in sys.argv:
        _child()
    else:
        sys.exit(finish(measure()))
