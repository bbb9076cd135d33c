"""What security costs: an entry of the audit log, and the security guards' share of a research run's CPU (bar: 10 %).

The run is asked over 9,000 passages, in extractive mode, with a registered secret to look for. Without security it is
the same guarded run with no scanner, no search for secrets, no labels and no record; the limits have rows of their own.
"""

import asyncio
import os
import statistics
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any
from unittest.mock import patch

from bench.indexing import data_folder, folder, questions, texts
from bench.table import Row, finish
from guards.audit.record import record, written
from guards.running.labelling import Labelling
from guards.scan.verdict import Verdict
from guards.stores.chosen import close_stores
from guards.taint.taint import CLEAR, Taint
from state.label import PROGRAM, Label

ALLOWED = 200.0
"""Microseconds an entry."""

SHARE = 0.10
ENTRIES = 500
ROUNDS = 8


def measure() -> list[Row]:
    """Two rows for the audit log, one for a run."""
    return [*_audit_rows(), _run_row()]


def _audit_rows() -> list[Row]:
    with tempfile.TemporaryDirectory() as name:
        store = {"INTERLOCK_STORE": str(Path(name, "ledger.sqlite")), "INTERLOCK_DATA": name}
        with patch.dict(os.environ, store):
            waits, together = asyncio.run(_audited())
            close_stores()
    note = (
        f"audit: {ENTRIES} entries in SQLite; what the caller waits is the median of its calls, what an entry takes "
        "until it is on the disk the median of blocks of 50."
    )
    return [
        Row("An audit entry, what its caller waits", "200 µs", f"{waits:.0f} µs", waits / ALLOWED, 1.0, note),
        Row("An audit entry until it is written", "200 µs", f"{together:.0f} µs", together / ALLOWED, 1.0, note),
    ]


async def _audited() -> tuple[float, float]:
    """Microseconds: what `record` takes, and what an entry takes until it is written."""
    waits, blocks = list[float](), list[float]()
    for _ in range(ENTRIES // 50):
        began = time.perf_counter()
        for _ in range(50):
            called = time.perf_counter()
            record("allowed", "tool call", agent="reader", tool="read_page", rules=["rule"], text="a text")
            waits.append(time.perf_counter() - called)
        await written()
        blocks.append((time.perf_counter() - began) / 50)
    return statistics.median(waits) * 1e6, statistics.median(blocks) * 1e6


def _run_row() -> Row:
    documents = texts()
    with tempfile.TemporaryDirectory() as name, data_folder(Path(name, "data")), _secret():
        docs = folder(Path(name, "docs"), documents)
        guarded, bare = asyncio.run(_runs(docs, questions(documents)))
    share = 1 - bare / guarded
    note = (
        f"security: process CPU of a research run over 9,000 passages, median of 24 questions, the least of {ROUNDS} "
        "times each; base = the same guarded run without scanners, secrets, labels and record; "
        f"their share of it is {share:.1%}."
    )
    claim = f"A research run with security (its share: at most {SHARE:.0%})"
    return Row(claim, f"{bare * 1e3:.1f} ms", f"{guarded * 1e3:.1f} ms", guarded / bare, 1 / (1 - SHARE), note)


async def _runs(docs: Path, asked: list[str]) -> tuple[float, float]:
    from graphs.research import graph

    async def ask(question: str) -> float:
        began = time.process_time()
        result = await graph.ainvoke({"question": question, "docs": [str(docs)]}, context={"mode": "extractive"})
        assert result["answer"].passages
        return time.process_time() - began

    async def both(question: str, first: bool) -> tuple[float, float]:
        """With and without, in either order: who asks a question first warms caches for the other."""
        took = await ask(question) if first else 0.0
        with _without_security():
            plain = await ask(question)
        return took or await ask(question), plain

    taken = dict.fromkeys(asked, (float("inf"), float("inf")))
    for number in range(ROUNDS):
        for place, question in enumerate(asked):
            took, plain = await both(question, (number + place) % 2 == 0)
            taken[question] = min(taken[question][0], took), min(taken[question][1], plain)
    guarded, bare = zip(*taken.values(), strict=True)
    return statistics.median(guarded), statistics.median(bare)


def _same(value: Any, *_: Any) -> Any:
    return value


async def _unwashed(rule: object, key: str, value: Any) -> Any:
    return value, []


class _Unlabelled(Labelling):
    """Keeps nothing."""

    def __init__(self) -> None:
        self.taint, self.labels = CLEAR, {}

    def begin(self) -> Taint:
        return CLEAR

    def end(self, taint: Taint) -> None:
        pass

    def wrote(self, keys: object) -> None:
        pass

    def widened(self) -> Label:
        return PROGRAM


UNLABELLED = _Unlabelled()


@contextmanager
def _without_security() -> Iterator[None]:
    """No scanner, no search for secrets, no label and no record."""
    with ExitStack() as stack:
        for place in ("running.node", "running.route", "running.streams"):
            stack.enter_context(patch(f"guards.{place}.hidden", _same))
        stack.enter_context(patch("guards.running.node.washed", _unwashed))
        stack.enter_context(patch("nodes.merge.scan", lambda text: None))
        clean = sys.modules["guards.clean"]
        stack.enter_context(patch.object(clean, "washed", _unwashed))
        stack.enter_context(patch.object(clean, "record", lambda *_, **__: None))
        stack.enter_context(patch("guards.text.sweep.scan_input", lambda text: Verdict(False, (), (), text)))
        stack.enter_context(patch("guards.running.node.Labelling", lambda *_: UNLABELLED))
        yield


@contextmanager
def _secret() -> Iterator[None]:
    with patch.dict(os.environ, {"BENCH_API_KEY": "zq7Kd0-Xv93mPl_tR5"}):
        yield


if __name__ == "__main__":
    sys.exit(finish(measure()))
