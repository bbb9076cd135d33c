"""What the ledger costs a model call: reserving it and settling it, in memory and in SQLite, at 1 and at 50 at a time.

`python -m bench.ledger_cost [--calls 2000]`; `--profile` shows where the time goes.
"""

import argparse
import asyncio
import cProfile
import gc
import os
import pstats
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any
from unittest.mock import patch

from bench.table import Row, finish
from guards import Limits, Policy
from guards.calls.calls import Call, Gate
from guards.calls.together import Together
from guards.ledger.ledger import LedgerGate, settled
from guards.running.attempt import Attempt
from guards.running.scope import Scope
from guards.stores.chosen import close_stores, store
from state.guarded import Run

BLOCKS = 10
ALLOWED = {"memory": 100.0, "SQLite": 1_000.0}
"""Microseconds a call."""

Clock = Callable[[], float]
CLOCKS: dict[str, Clock] = {"memory": time.process_time, "SQLite": time.perf_counter}
"""In memory the ledger costs CPU and nothing else; SQLite's disk and thread are waited for."""

POLICY = Policy(calls=None, tokens=10**12, dollars=10**6, per_hour=Limits(calls=10**9), per_day=Limits(dollars=10**6))


async def _calls(gate: Gate, calls: int) -> None:
    attempt = Attempt(Scope(Run(id="bench"), "", POLICY, "tenant"), 3_600.0, None, node="node", place="node:1")
    for _ in range(calls):
        call = Call("model", "gpt-4o-mini", "openai", attempt, input_tokens=500, output_tokens=200)
        await gate.enter(call)
        gate.leave(call, None, (480, 90))


async def _block(calls: int, at_once: int, clock: Clock) -> float:
    """Microseconds a call until everything is written."""
    gate = Together(store, LedgerGate())
    gc.collect()
    began = clock()
    await asyncio.gather(*(_calls(gate, calls // at_once) for _ in range(at_once)))
    await settled()
    return (clock() - began) / calls * 1e6


async def _blocks(calls: int, at_once: int, clock: Clock) -> float:
    await _block(calls // 10, at_once, clock)
    return min([await _block(calls // BLOCKS, at_once, clock) for _ in range(BLOCKS)])


def _microseconds(kind: str, calls: int, at_once: int) -> float:
    with tempfile.TemporaryDirectory() as folder:
        name = "memory" if kind == "memory" else str(Path(folder, "ledger.sqlite"))
        with patch.dict(os.environ, {"INTERLOCK_STORE": name}):
            took = asyncio.run(_blocks(calls, at_once, CLOCKS[kind]))
            close_stores()
    return took


def measure(calls: int = 2_000) -> list[Row]:
    """A row for each store and load."""
    note = (
        "ledger cost: reserve and settle one call in the accounts of its run, task, hour, day and tenant; CPU in "
        f"memory, wall time until it is written in SQLite; minima of {BLOCKS} blocks."
    )
    rows = []
    for kind, allowed in ALLOWED.items():
        for at_once in (1, 50):
            took = _microseconds(kind, calls, at_once)
            claim = f"The ledger's part of a model call, {kind}, {at_once} at a time"
            rows.append(Row(claim, f"{allowed:,.0f} µs", f"{took:,.0f} µs", took / allowed, 1.0, note))
    return rows


def main(arguments: list[str]) -> int:
    """Print the rows, or a profile."""
    parser = argparse.ArgumentParser(prog="python -m bench.ledger_cost", description=__doc__)
    parser.add_argument("--calls", type=int, default=2_000)
    parser.add_argument("--profile", action="store_true")
    asked: Any = parser.parse_args(arguments)
    if not asked.profile:
        return finish(measure(asked.calls))
    profile = cProfile.Profile()
    profile.runcall(_microseconds, "memory", asked.calls, 1)
    pstats.Stats(profile).sort_stats("tottime").print_stats(25)
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
