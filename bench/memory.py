"""Memory: a thousand runs in one process leave it as large as a hundred did.

The runs happen in a fresh process of its own (`python -m bench.memory --child`), every second one with a branch that
is lost after a retry, because failures are where memory leaks.
"""

import asyncio
import gc
import json
import logging
import os
import subprocess
import sys

from bench.drawings import POLICY, Shape, collectors, research_shape
from bench.table import Row, finish
from guards import Transient, guard

BAR = 1.02
FIRST, LAST = 100, 1000


def resident() -> int:
    """Resident KiB of this process."""
    gc.collect()
    return int(subprocess.check_output(["ps", "-o", "rss=", "-p", str(os.getpid())]))


async def refuses(state: Shape) -> Shape:
    """A collector that is lost in every attempt of every run."""
    raise Transient("no answer", retry_after=0.0)


async def _runs() -> tuple[int, int]:
    lossy = research_shape([refuses, *collectors(2)])
    graphs = [guard(drawing, POLICY) for drawing in (research_shape(), lossy)]
    sizes = []
    for number in range(1, LAST + 1):
        await graphs[number % 2].ainvoke({"question": f"question {number}", "collected": []})
        if number in (FIRST, LAST):
            sizes.append(resident())
    return sizes[0], sizes[1]


def measure() -> list[Row]:
    """RSS after the last run over RSS after the first hundred."""
    done = subprocess.run([sys.executable, "-m", "bench.memory", "--child"], stdout=subprocess.PIPE, check=True)
    first, last = json.loads(done.stdout)
    note = f"memory: RSS after {FIRST} and after {LAST} runs in one process; every second run loses a branch, twice."
    claim = "A thousand runs leave a process as large as a hundred did"
    return [Row(claim, f"{first / 1024:.1f} MiB", f"{last / 1024:.1f} MiB", last / first, BAR, note)]


if __name__ == "__main__":
    if "--child" in sys.argv:
        logging.getLogger("interlock").setLevel(logging.CRITICAL)
        print(json.dumps(asyncio.run(_runs())))
    else:
        sys.exit(finish(measure()))
