"""What the guard costs: CPU of a guarded run over CPU of the same drawing compiled bare, every node at 0 ms.

`python -m bench.guard_cost [--runs 10] [--blocks 60]`; `--profile` shows where the guarded run's time goes.
"""

import argparse
import asyncio
import cProfile
import gc
import pstats
import statistics
import sys
import time
from typing import Any

from bench.drawings import POLICY, research_shape
from bench.table import Row, finish
from guards import guard

BAR = 1.15
QUESTION = {"question": "what does it cost?", "collected": []}


async def _block(graph: Any, runs: int) -> float:
    """CPU seconds a run, over one block of runs; garbage of others is collected before, its own inside."""
    gc.collect()
    began = time.process_time()
    for _ in range(runs):
        await graph.ainvoke(QUESTION)
    return (time.process_time() - began) / runs


async def _pairs(runs: int, blocks: int) -> list[tuple[float, float]]:
    """(bare, guarded) a block. The two take turns at going first, so that a drift of the machine hits both."""
    bare, guarded = research_shape().compile(), guard(research_shape(), POLICY)
    for graph in (bare, guarded):
        await _block(graph, 30)
    pairs = []
    for number in range(blocks):
        if number % 2:
            second, first = await _block(guarded, runs), await _block(bare, runs)
        else:
            first, second = await _block(bare, runs), await _block(guarded, runs)
        pairs.append((first, second))
    return pairs


def measure(runs: int = 10, blocks: int = 60) -> list[Row]:
    """The median over all blocks of guarded over bare."""
    pairs = asyncio.run(_pairs(runs, blocks))
    ratio = statistics.median(guarded / bare for bare, guarded in pairs)
    bare, guarded = (min(column) * 1e3 for column in zip(*pairs, strict=True))
    note = (
        "guard cost: the research drawing with nodes of 0 ms, process CPU per run in interleaved blocks "
        f"({blocks} x {runs} runs each); ratio = median of the blocks' ratios (of the minima: {guarded / bare:.3f}), "
        "times = minima."
    )
    claim = "A guarded run costs hardly more CPU than the bare graph"
    return [Row(claim, f"{bare:.2f} ms", f"{guarded:.2f} ms", ratio, BAR, note)]


def _profile(runs: int = 300) -> None:
    guarded, profiler = guard(research_shape(), POLICY), cProfile.Profile()
    asyncio.run(_block(guarded, 30))
    profiler.enable()
    asyncio.run(_block(guarded, runs))
    profiler.disable()
    pstats.Stats(profiler).sort_stats("tottime").print_stats(45)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--runs", type=int, default=10)
    parser.add_argument("--blocks", type=int, default=60)
    parser.add_argument("--profile", action="store_true")
    options = parser.parse_args()
    sys.exit(_profile() if options.profile else finish(measure(options.runs, options.blocks)))
