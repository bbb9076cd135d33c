"""Kill -9 at random moments under load: two processes share a store and a budget, and one of them is always dying.

`python -m bench.ledger_kills [--kills 200] [--seed N] [--store PATH|postgresql://…]` prints what the provider saw, what
the books say, and exits with 1 when a sum is not exact, a hold is stuck, or the budget was passed.
"""

import argparse
import asyncio
import multiprocessing
import os
import random
import signal
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import reduce
from multiprocessing.process import BaseProcess
from pathlib import Path
from typing import Any
from unittest.mock import patch

from bench.ledger_load import work
from guards.ledger.accounts import held_of, spent_of
from guards.ledger.amount import NOTHING, Amount
from guards.ledger.ledger import sweep
from guards.stores import Row
from guards.stores.chosen import close_stores, store

FORKS = multiprocessing.get_context("forkserver")
CALLS_A_KILL = 40
PATIENCE = 0.2
"""Seconds to wait for a call when the budget may be used up."""

ALL = 1e12, 10**9
"""Every row, whatever its time."""


@dataclass(frozen=True)
class Figures:
    """What came out.

    Attributes:
        kills: Processes killed.
        seen: Calls that reached the provider.
        booked: Calls in the books, in the end.
        expired: Those of them that nobody settled: their process was killed.
        budget: Calls that the processes had together.
        faults: What is wrong with the books; empty is good.
    """

    kills: int
    seen: int
    booked: int
    expired: int
    budget: int
    faults: tuple[str, ...]


class Worker:
    """A process that calls the model.

    Args:
        args: What `work` needs.
    """

    def __init__(self, *args: Any) -> None:
        self.told, theirs = FORKS.Pipe(duplex=False)
        self.process: BaseProcess = FORKS.Process(target=work, args=(*args, theirs), daemon=True)
        self.process.start()
        theirs.close()
        self.told.recv()

    def kill(self) -> None:
        """SIGKILL, and wait until it is gone."""
        os.kill(self.process.pid or 0, signal.SIGKILL)
        self.process.join()


def run(kills: int, seed: int, name: str) -> Figures:
    """Kill `kills` processes, then look into the books."""
    from model_server import ModelServer

    FORKS.set_forkserver_preload(["langchain_openai", "guards", "bench.ledger_load"])
    chance, budget = random.Random(seed), kills * CALLS_A_KILL * 3 // 4
    with ModelServer() as server:
        args = server.url, name, budget
        workers = [Worker(*args) for _ in range(2)]
        for _ in range(kills):
            seen = len(server.calls) + chance.randint(1, 2 * CALLS_A_KILL)
            server.wait_for(lambda seen=seen: len(server.calls) >= seen, PATIENCE)  # type: ignore[misc]  # or the money is gone
            time.sleep(chance.random() * 0.003)
            victim = chance.randrange(2)
            workers[victim].kill()
            workers[victim] = Worker(*args)
        for worker in workers:
            worker.kill()
        tokens = sum(call.input_tokens + call.output_tokens for call in server.calls)
        with using(name):
            return asyncio.run(_audit(kills + 2, budget, len(server.calls), tokens))


@contextmanager
def using(name: str) -> Iterator[None]:
    """The store of this process for a while."""
    with patch.dict(os.environ, {"INTERLOCK_STORE": name}):
        yield
        close_stores()


async def _audit(kills: int, budget: int, seen: int, tokens: int) -> Figures:
    before = await _rows()
    holds = {key: row for key, row in before.items() if key.startswith("hold:")}
    now = time.time() + 1_000  # every lease is over by then
    with patch("time.time", lambda: now):
        while any(key.startswith("hold:") for key in await _rows()):
            await sweep(store())
    after = await _rows()
    total = _sum(after, "day:")
    faults = [*_differences(before, holds, after), *_passed(after, budget)]
    if not (seen <= total.calls and tokens <= total.input_tokens + total.output_tokens):
        faults.append(f"the provider saw {seen} calls and {tokens} tokens, the books {total}")
    expired = sum(Amount(*row["of"][key]).calls for row in holds.values() for key in row["of"] if key[:4] == "run:")
    return Figures(kills, seen, total.calls, expired, budget, tuple(faults))


async def _rows() -> dict[str, Row]:
    return {key: row for key, row in (await store().due("", *ALL)).items() if row is not None}


def _differences(before: dict[str, Row], holds: dict[str, Row], after: dict[str, Row]) -> Iterator[str]:
    """What was settled and what the open holds reserved must be what is charged in the end, account by account."""
    held: dict[str, Amount] = {}
    for hold in holds.values():
        for key, amount in hold["of"].items():
            held[key] = held.get(key, NOTHING).plus(amount)
    for key, row in _accounts(after):
        expired = held.get(key, NOTHING)
        if held_of(before[key]) != expired or spent_of(before[key]).plus(expired) != spent_of(row):
            yield f"{key}: settled {spent_of(before[key])} and expired {expired} make {spent_of(row)}"
        if held_of(row) != NOTHING:
            yield f"{key}: {held_of(row)} is stuck"
    sums = {kind: _sum(after, kind) for kind in ("run:", "task:", "hour:", "day:")}
    if len(set(sums.values())) > 1:
        yield f"the accounts differ: {sums}"


def _accounts(rows: dict[str, Row]) -> Iterator[tuple[str, Row]]:
    """Without the rows of the other guards that share the store."""
    return ((key, row) for key, row in rows.items() if "spent" in row)


def _passed(rows: dict[str, Row], budget: int) -> Iterator[str]:
    for key, row in rows.items():
        if key.startswith("day:") and spent_of(row).calls > budget:
            yield f"{key}: {spent_of(row).calls} calls on a budget of {budget}"


def _sum(rows: dict[str, Row], kind: str) -> Amount:
    return reduce(Amount.plus, (spent_of(row) for key, row in rows.items() if key.startswith(kind)), NOTHING)


def main(arguments: list[str]) -> int:
    """Kill, audit, print."""
    parser = argparse.ArgumentParser(prog="python -m bench.ledger_kills", description=__doc__)
    parser.add_argument("--kills", type=int, default=200)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--store", default="", help="a SQLite file or a postgresql:// URL; else a file of its own")
    asked = parser.parse_args(arguments)
    sys.path.insert(0, str(Path(__file__).parent.parent / "tests"))
    with tempfile.TemporaryDirectory() as folder:
        began = time.monotonic()
        found = run(asked.kills, asked.seed, asked.store or str(Path(folder, "ledger.sqlite")))
    print(
        f"{found.kills} processes killed in {time.monotonic() - began:.0f} s: the provider saw {found.seen} calls, the "
        f"books hold {found.booked} ({found.expired} of them expired holds) on a budget of {found.budget}"
    )
    print("\n".join(found.faults) or "sums are exact, no hold is stuck")
    return int(bool(found.faults))


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
