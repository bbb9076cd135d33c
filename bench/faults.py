"""The README's table: bare against guarded on the same faults. Every cell is what a run in a process of its own did.

`python -m bench.faults`: the same drawing once `build().compile()` and once `guard(build(), POLICY)`, over the tests'
model server on loopback. A run that has not ended after `BOUND` seconds is cut off, and its cell says so.
"""

import asyncio
import os
import signal
import subprocess
import sys
import tempfile
import textwrap
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

from bench.faulty import FAULTS, RAN, was_killed
from bench.table import markdown
from guards import Unsafe, guard

ROOT = Path(__file__).parent.parent
BOUND = 20.0
"""Seconds that a run gets."""

PATIENCE = 60.0
"""Seconds for its process, in case the run cannot be cancelled."""


def graph_of(name: str, guarded: bool) -> Any:
    """The compiled graph of a row."""
    _, build, policy, _ = FAULTS[name]
    if name == "invented":
        from graphs import research

        return research.graph if guarded else research.build().compile()
    return guard(build(), policy, name=name) if guarded else build().compile()


async def tell(name: str, guarded: bool) -> str:
    """Run it and say what happened, in a few words."""
    began = time.monotonic()
    try:
        graph = graph_of(name, guarded)
    except Unsafe as refused:
        rules = sorted({hole.rule for hole in refused.holes})
        return f"refused before it runs: {', '.join(rules)}, each with its cure"
    try:
        result = await asyncio.wait_for(_run(name, graph), BOUND)
    except TimeoutError:
        return f"no end after {BOUND:g} s"
    except Exception as error:
        return f"raises {type(error).__name__}{_reviews()}, nothing is kept"
    return f"{_outcome(result)}{_reviews()} after {time.monotonic() - began:.1f} s"


def _reviews() -> str:
    return f", {RAN['review']:,} reviews" if RAN["review"] else ""


async def _run(name: str, graph: Any) -> dict[str, Any]:
    if name == "invented":
        question = {"question": "What did the Harbour Line cost?", "docs": ["examples/docs"]}
        return await graph.ainvoke(question)
    if name != "killed":
        return await graph.ainvoke({"log": []})
    from langgraph.checkpoint.sqlite.aio import AsyncSqliteSaver

    question = None if was_killed() else {"log": []}
    async with AsyncSqliteSaver.from_conn_string(f"{os.environ['FAULTS_FOLDER']}/checkpoints.sqlite") as saver:
        config = {"configurable": {"thread_id": "t"}}
        lasting = graph.copy(update={"checkpointer": saver})
        return await lasting.ainvoke(question, config, durability="sync")


def _outcome(result: dict[str, Any]) -> str:
    log, run, answer = result.get("log", []), result.get("run"), result.get("answer")
    if answer is not None:
        kept = f"report with {len(answer.quotes)} quotes"
    else:
        last = next((name for name in ("join", "report") if name in log), "")
        kept = f"{last} ran" if last else "the join never ran" if "plan" in log else ""
    if run is None:
        return ", ".join(filter(None, ("reports success", kept)))
    reason = f"“{_short(run.stop_reason)}”" if run.stop_reason else ""
    return ", ".join(filter(None, (f"**{run.outcome}**", reason, kept)))


def _short(reason: str) -> str:
    return textwrap.shorten(reason, 64, placeholder=" …")


def cell(name: str, guarded: bool) -> str:
    """One run in a process of its own, and what the model server saw of it."""
    sys.path.insert(0, str(ROOT / "tests"))
    from model_server import ModelServer

    with ModelServer() as server, tempfile.TemporaryDirectory() as folder:
        if fault := FAULTS[name][3]:
            server.fault(fault)
        settings = {"OPENAI_BASE_URL": server.url, "OPENAI_API_KEY": "none", "LANGSMITH_TRACING": "false"}
        settings |= {"FAULTS_FOLDER": folder, "INTERLOCK_DATA": f"{folder}/data"}
        text = _child(name, guarded, settings)
        calls = len(server.calls)
        return f"{text}; {calls} model call{'s' * (calls > 1)}" if calls else text


def _child(name: str, guarded: bool, settings: dict[str, str]) -> str:
    command = [sys.executable, "-m", "bench.faults", "--run", name, "guarded" if guarded else "bare"]
    for _ in range(2):  # the second time after a SIGKILL
        try:
            done = subprocess.run(
                command, cwd=ROOT, env={**os.environ, **settings}, capture_output=True, text=True, timeout=PATIENCE
            )
        except subprocess.TimeoutExpired:
            return f"no end after {PATIENCE:g} s"
        if done.returncode != -signal.SIGKILL:
            break
    return done.stdout.strip().splitlines()[-1] if done.returncode == 0 else f"exit code {done.returncode}"


def main() -> None:
    """Print the table; the runs take turns four at a time, since most of them wait."""
    cells = [(name, guarded) for name in FAULTS for guarded in (False, True)]
    with ThreadPoolExecutor(4) as pool:
        told = dict(zip(cells, pool.map(lambda one: cell(*one), cells), strict=True))
    rows = [(FAULTS[name][0], told[name, False], told[name, True]) for name in FAULTS]
    print(markdown(("fault", "bare", "guarded"), rows), flush=True)


if __name__ == "__main__":
    if "--run" in sys.argv:
        which, how = sys.argv[sys.argv.index("--run") + 1 :][:2]
        print(asyncio.run(tell(which, how == "guarded")), flush=True)
    else:
        main()
