"""Process start: a fresh process is at its first node hardly later than one that only imports `langgraph.graph`."""

import json
import statistics
import subprocess
import sys
import time
from collections.abc import Iterator

from bench.table import Row, finish

BAR = 1.25
TIMES = 9
FLOORS = ("state", "guards", "nodes", "graphs", "interlock")
BASE = "import langgraph.graph"
OURS = """
import asyncio
from graphs.research import graph
async def first():
    async for _ in graph.astream({"question": "What is known?"}, stream_mode="updates"):
        break
asyncio.run(first())
"""
"""Up to the end of the first node, so that what it imports when it runs is counted too."""

CLOCK = """
import json, time
print(json.dumps([time.process_time(), time.time()]))
"""


def _start(code: str) -> tuple[float, float]:
    """(CPU, wall) seconds from the start of a fresh process until the code has run."""
    began = time.time()
    done = subprocess.run([sys.executable, "-c", code + CLOCK], stdout=subprocess.PIPE, check=True)
    cpu, ended = json.loads(done.stdout)
    return cpu, ended - began


def _starts(times: int) -> Iterator[tuple[tuple[float, float], tuple[float, float]]]:
    """Base and ours so many times, taking turns; the first pair only warms the disk and the byte code."""
    for number in range(times + 1):
        pair = _start(BASE), _start(OURS)
        if number:
            yield pair


def measure(times: int = TIMES) -> list[Row]:
    """One row for CPU, one for wall time; with byte code, as an installer leaves it."""
    subprocess.run([sys.executable, "-m", "compileall", "-q", *FLOORS], check=True)
    pairs = list(_starts(times))
    rows = []
    for index, clock in enumerate(("CPU", "wall time")):
        base, ours = (min(pair[side][index] for pair in pairs) for side in (0, 1))
        note = (
            f"start: {clock} of fresh processes, minima of {times} interleaved pairs; ours ends after the first node "
            f"of the research graph (ratio of the medians: {_medians(pairs, index):.3f})."
        )
        claim = f"{clock} from process start to the first node of research against `import langgraph.graph`"
        rows.append(Row(claim, f"{base:.2f} s", f"{ours:.2f} s", ours / base, BAR, note))
    return rows


def _medians(pairs: list[tuple[tuple[float, float], tuple[float, float]]], index: int) -> float:
    base, ours = (statistics.median(pair[side][index] for pair in pairs) for side in (0, 1))
    return ours / base


if __name__ == "__main__":
    sys.exit(finish(measure()))
