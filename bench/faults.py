"""The README's table: bare against guarded on the same faults. Every line is what a run in a process of its own did.

`python -m bench.faults [FAULT ...]`: the same drawing once `build().compile()` and once `guard(build(), POLICY)`, over
the tests' model server on loopback. A run that has not ended after `BOUND` seconds is cut off, and its line says so. To
end a run from outside, the bare one is cancelled and the guarded one is told `request_stop`.
"""

import asyncio
import json
import os
import signal
import subprocess
import sys
import tempfile
import textwrap
import threading
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path
from typing import Any

from bench.faulty import CASES, QUESTION, Case, was_killed
from bench.table import markdown
from guards import Unsafe, guard, request_stop

ROOT = Path(__file__).parent.parent
BOUND = 20.0
"""Seconds that a run gets."""

PATIENCE = 60.0
"""Seconds for its process, in case the run cannot be cancelled."""

HEADER = ("fault", "graph", "how it ended", "seconds", "calls", "what was kept", "left alive")
THREAD = {"configurable": {"thread_id": "t"}}

Cells = dict[str, str]


async def tell(case: Case, guarded: bool) -> Cells:
    """Run it and say what happened, in a few words."""
    try:
        graph = guard(case.build(cleaned=True), case.policy) if guarded else case.build(cleaned=False).compile()
    except Unsafe as refused:
        rules = sorted({hole.rule for hole in refused.holes})
        return {"ended": f"**refused before it starts**: {', '.join(rules)}, with the cure"}
    began = time.monotonic()
    cells = await _ended(case, graph, guarded)
    return {"seconds": f"{time.monotonic() - began:.1f}", **cells, "alive": _alive()}


async def _ended(case: Case, graph: Any, guarded: bool) -> Cells:
    running = asyncio.ensure_future(_run(case, graph))
    end = partial(request_stop, "t", "stopped from outside") if guarded else running.cancel
    if case.interrupt == "cancel":
        threading.Thread(target=_on_line, args=(asyncio.get_running_loop(), end), daemon=True).start()
    elif case.interrupt and guarded:
        asyncio.get_running_loop().add_signal_handler(signal.SIGINT, end)
    done, _ = await asyncio.wait({running}, timeout=BOUND)
    if not done:
        return {"ended": "no end", "seconds": f"> {BOUND:g}", "kept": "nothing"}
    if running.cancelled():
        return {"ended": "cancelled", "kept": "nothing"}
    error = running.exception()
    return {"ended": f"raises {type(error).__name__}", "kept": "nothing"} if error else _outcome(running.result())


def _on_line(loop: asyncio.AbstractEventLoop, end: Callable[[], object]) -> None:
    """End the run when the parent says that a call is open."""
    sys.stdin.readline()
    loop.call_soon_threadsafe(end)


async def _run(case: Case, graph: Any) -> dict[str, Any]:
    if case.build is not CASES["killed"].build:
        return await graph.ainvoke(QUESTION, THREAD)
    from langgraph.checkpoint.sqlite.aio import AsyncSqliteSaver

    question = None if was_killed() else QUESTION
    async with AsyncSqliteSaver.from_conn_string(f"{os.environ['FAULTS_FOLDER']}/checkpoints.sqlite") as saver:
        lasting = graph.copy(update={"checkpointer": saver})
        return await lasting.ainvoke(question, THREAD, durability="sync")


def _outcome(result: dict[str, Any]) -> Cells:
    run, found = result.get("run"), result.get("found", [])
    kept = [f"{len(found)} findings", *(["a report"] if "report" in result else [])]
    if len(text := result.get("report", "")) > 1_000:
        kept[-1] += f" of {len(text):,} characters"
    elif "4111" in text:
        kept[-1] += " with the card number"
    elif "[card" in text:
        kept[-1] += " without the card number"
    if run is None:
        return {"ended": "reports success", "kept": ", ".join(kept)}
    reason = f": {_short(run.stop_reason)}" if run.stop_reason else ""
    return {"ended": f"**{run.outcome}**{reason}", "kept": ", ".join(kept)}


def _alive() -> str:
    """Tasks, threads and processes that the run left behind; the parent adds the calls that are still open."""
    tasks = [task for task in asyncio.all_tasks() if task is not asyncio.current_task()]
    threads = [one for one in threading.enumerate() if not one.daemon and one is not threading.main_thread()]
    busy = [one for one in threads if not one.name.startswith(("asyncio_", "ThreadPoolExecutor"))]
    counts = {"task": len(tasks), "thread": len(busy)}
    return ", ".join(f"{number} {what}{'s' * (number > 1)}" for what, number in counts.items() if number)


def _short(reason: str) -> str:
    return textwrap.shorten(reason, 72, placeholder=" …")


def row(name: str, guarded: bool) -> tuple[str, ...]:
    """One run in a process of its own, and what the model server saw of it."""
    sys.path.insert(0, str(ROOT / "tests"))
    from model_server import ModelServer

    case = CASES[name]
    with ModelServer() as server, tempfile.TemporaryDirectory() as folder:
        server.reply("writer", {"claims": [{"text": case.said}]})
        if case.fault:
            server.fault(**case.fault)
        cells = _child(name, guarded, server, folder)
        calls, calls_open = len(server.calls), int(cells.pop("open", 0))
    alive = ", ".join(filter(None, (cells.get("alive", ""), f"{calls_open} calls" if calls_open else ""))) or "nothing"
    graph = "guarded" if guarded else "bare"
    told = cells["ended"], cells.get("seconds", ""), f"{calls:,}", cells.get("kept", ""), alive
    return (case.words, graph, *told) if "seconds" in cells else (case.words, graph, cells["ended"], "", "", "", "")


def _child(name: str, guarded: bool, server: Any, folder: str) -> Cells:
    """Run it, interrupt it if that is the fault, and count what is open when it has ended."""
    settings = {"OPENAI_BASE_URL": server.url, "OPENAI_API_KEY": "none", "LANGSMITH_TRACING": "false"}
    settings |= {"FAULTS_FOLDER": folder, "INTERLOCK_DATA": f"{folder}/data"}
    command = [sys.executable, "-m", "bench.faults", "--run", name, "guarded" if guarded else "bare"]
    for _ in range(2):  # the second time after a SIGKILL
        with subprocess.Popen(
            command,
            cwd=ROOT,
            env={**os.environ, **settings},
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            text=True,
        ) as child:
            _interrupt(CASES[name], child, server)
            cells = _said(child, server)
        if child.returncode != -signal.SIGKILL:
            break
    return cells


def _interrupt(case: Case, child: "subprocess.Popen[str]", server: Any) -> None:
    if not case.interrupt:
        return
    server.wait_for(lambda: server.open_now, PATIENCE)
    if case.interrupt == "SIGINT":
        child.send_signal(signal.SIGINT)
    else:
        child.stdin.write("now\n")
        child.stdin.flush()


def _said(child: "subprocess.Popen[str]", server: Any) -> Cells:
    """What the process said of its run; it stays until it has been looked at."""
    timer = threading.Timer(PATIENCE, child.kill)
    timer.start()
    line = child.stdout.readline() if child.stdout else ""
    timer.cancel()
    server.wait_for(lambda: not server.open_now, 0.5)  # what was closed a moment ago
    calls_open = server.open_now
    child.terminate() if line else child.wait()
    if not line:
        return {"ended": "the process ends, nothing is said", "seconds": "", "kept": "nothing"}
    return {**json.loads(line), "open": str(calls_open)}


def table(names: Sequence[str] = ()) -> str:
    """The table; the runs take turns four at a time, since most of them wait."""
    runs = [(name, guarded) for name in names or CASES for guarded in (False, True)]
    with ThreadPoolExecutor(4) as pool:
        rows = list(pool.map(lambda one: row(*one), runs))
    return markdown(HEADER, rows)


if __name__ == "__main__":
    if "--run" in sys.argv:
        which, how = sys.argv[sys.argv.index("--run") + 1 :][:2]
        print(json.dumps(asyncio.run(tell(CASES[which], how == "guarded"))), flush=True)
        threading.Event().wait()  # until the parent has looked
    else:
        print(table(sys.argv[1:]), flush=True)
