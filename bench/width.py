"""Side by side: the wall time of a research round does not grow with the number of collectors.

The critical path is what must happen one after the other: the longest chain of the drawing, run alone, that is the same
guarded graph with one collector of 0 ms, measured in the same minute, plus 200 ms for each of the two rounds.
"""

import asyncio
import sys
import time
from typing import Any

from bench.drawings import POLICY, collectors, research_shape
from bench.table import Row, finish
from guards import guard

BAR = 1.05
SECONDS = 0.2
ROUNDS = 2
WIDTHS = (1, 3, 5, 10)
QUESTION = {"question": "how wide?", "collected": []}


async def _wall(graph: Any) -> float:
    began = time.perf_counter()
    await graph.ainvoke(QUESTION)
    return time.perf_counter() - began


async def _walls(width: int, times: int) -> list[tuple[float, float]]:
    """(critical path, wall) so many times, taking turns."""
    chain, wide = (guard(research_shape(c), POLICY) for c in (collectors(1), collectors(width, SECONDS)))
    for graph in (chain, wide, chain):
        await _wall(graph)
    return [(ROUNDS * SECONDS + await _wall(chain), await _wall(wide)) for _ in range(times)]


def _row(width: int, times: int) -> Row:
    walls = asyncio.run(_walls(width, times))
    path, wall = (min(column) for column in zip(*walls, strict=True))
    claim = f"{width} collector{'s' * (width > 1)} of 200 ms side by side take as long as one"
    note = (
        f"width: wall time, minima of {times} interleaved pairs (noise only adds); base = critical path = {ROUNDS} "
        "rounds of 200 ms + the same guarded graph as a chain (one collector of 0 ms)."
    )
    return Row(claim, f"{path * 1e3:.0f} ms", f"{wall * 1e3:.0f} ms", wall / path, BAR, note)


def measure(times: int = 9) -> list[Row]:
    """One row a width."""
    return [_row(width, times) for width in WIDTHS]


if __name__ == "__main__":
    sys.exit(finish(measure()))
