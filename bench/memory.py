"""Memory: a thousand runs in one process leave it as large as a hundred did.

The runs happen in fresh processes of their own (`python -m bench.memory --child drawing`): of a drawing whose every
second run has a branch that is lost after a retry, because failures are where memory leaks, and of the research graph
itself, that is asked a thousand different questions about `examples/`.
"""

import asyncio
import gc
import json
import logging
import os
import subprocess
import sys
import tempfile
from collections.abc import Awaitable, Callable, Iterator
from itertools import count, cycle
from pathlib import Path

from bench.drawings import POLICY, Shape, collectors, research_shape
from bench.table import Row, finish
from guards import Transient, guard

BAR = 1.02
FIRST, LAST = 100, 1000
EXAMPLES = Path(__file__).parent.parent / "examples"


def resident() -> int:
    """Resident KiB of this process."""
    gc.collect()
    return int(subprocess.check_output(["ps", "-o", "rss=", "-p", str(os.getpid())]))


async def refuses(state: Shape) -> Shape:
    """A collector that is lost in every attempt of every run."""
    raise Transient("no answer", retry_after=0.0)


Run = Callable[[], Awaitable[object]]


def drawings() -> Run:
    """Runs that do nothing; every second one loses a branch, twice."""
    lossy = research_shape([refuses, *collectors(2)])
    graphs = cycle([guard(drawing, POLICY) for drawing in (lossy, research_shape())])
    return lambda: next(graphs).ainvoke({"question": "question", "collected": []})


def research() -> Run:
    """Runs of the research graph without a model, each with a question that nobody asked before."""
    from graphs.research import graph
    from state.research import Context

    sources = {"docs": [str(EXAMPLES / "docs")], "databases": [str(EXAMPLES / "operations.sqlite")]}
    asked, context = questions(), Context(mode="extractive")
    return lambda: graph.ainvoke({"question": next(asked), **sources}, context=context)


def questions() -> Iterator[str]:
    """Two of the example questions in one, and words that stand in none."""
    lines = (EXAMPLES / "questions.jsonl").read_text(encoding="utf-8").splitlines()
    texts = [json.loads(line)["question"] for line in lines]
    for number in count():
        other = texts[number // len(texts) % len(texts)]
        yield f"{texts[number % len(texts)]} {other} And what of place{number}?"


async def _sizes(run: Run) -> tuple[int, int]:
    sizes = []
    for number in range(1, LAST + 1):
        await run()
        if number in (FIRST, LAST):
            sizes.append(resident())
    return sizes[0], sizes[1]


CHILDREN = {"drawing": drawings, "research": research}
NOTE = (
    f"memory: RSS after {FIRST} and after {LAST} runs in one process; every second run of the drawing loses a branch, \
twice; the research graph is asked a new question about examples/ in every run, without a model."
)


def measure() -> list[Row]:
    """RSS after the last run over RSS after the first hundred."""
    return [
        _row("A thousand runs leave a process as large as a hundred did", "drawing"),
        _row("A thousand different questions leave a process as large as a hundred did", "research"),
    ]


def _row(claim: str, child: str) -> Row:
    command = [sys.executable, "-m", "bench.memory", "--child", child]
    with tempfile.TemporaryDirectory() as folder:
        done = subprocess.run(command, stdout=subprocess.PIPE, check=True, env={**os.environ, "INTERLOCK_DATA": folder})
    first, last = json.loads(done.stdout)
    return Row(claim, f"{first / 1024:.1f} MiB", f"{last / 1024:.1f} MiB", last / first, BAR, NOTE)


if __name__ == "__main__":
    if "--child" in sys.argv:
        logging.getLogger("interlock").setLevel(logging.CRITICAL)
        print(json.dumps(asyncio.run(_sizes(CHILDREN[sys.argv[-1]]()))))
    else:
        sys.exit(finish(measure()))
