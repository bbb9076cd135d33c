"""Memory rot: ten thousand interactions on one thread leave state, checkpoint file and process as two thousand did.

Two agents say ten things each in every run, note a fact each, and now and then corrupt the memory; the thread's
checkpoints are kept in SQLite by the command line's saver. In a fresh process (`python -m bench.memory_rot --child`).
"""

import asyncio
import gc
import json
import logging
import os
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Annotated, Any

from langgraph.graph import END, START, StateGraph
from typing_extensions import TypedDict

from bench.memory import resident
from bench.table import Row, finish
from guards import Policy, guard, remember
from state.corruption import FLOOD
from state.memory import Interaction
from state.remembered import Fact, Remembered

BAR = 1.02
FIRST, LAST = 2_000, 10_000
POLICY = Policy(clean_input=False, clean_output=False)
ROLE = "You are the writer. Your name is Ada."
PINNED = Fact(category="line", key="opening date", value="12 May 2023", pinned=True)


class Shared(TypedDict, total=False):
    """The state."""

    memory: Annotated[Remembered, remember]


def agent(name: str) -> Any:
    """Says ten things a run; one in fifty runs it contradicts what is pinned."""

    async def node(state: Shared) -> Shared:
        memory = state["memory"]
        wrong = memory.interactions % 1_000 == 1
        texts = ["The opening date is 19 May 2023."] * wrong + [
            f"thought {memory.interactions} {n}" for n in range(FLOOD)
        ]
        recent = tuple(Interaction(agent=name, role="output", text=text) for text in texts[:FLOOD])
        fact = Fact(category=f"c{memory.tasks % 30}", key=str(memory.tasks), value="v" * 100, agent=name)
        return {"memory": Remembered(recent=recent, facts=(fact,), tasks=1)}

    return node


def drawing() -> Any:
    """Two agents, one after the other."""
    graph: Any = StateGraph(Shared)
    graph.add_node("writer", agent("writer"))
    graph.add_node("editor", agent("editor"))
    graph.add_edge(START, "writer")
    graph.add_edge("writer", "editor")
    graph.add_edge("editor", END)
    return graph


async def _talk(folder: Path) -> list[tuple[int, int, int]]:
    """(state in characters, file in bytes, process in KiB) at both counts."""
    import aiosqlite
    from langgraph.checkpoint.sqlite.aio import AsyncSqliteSaver

    from interlock.saver import Saver

    sizes, path = [], folder / "checkpoints.sqlite"
    async with aiosqlite.connect(path) as database:
        await AsyncSqliteSaver(database).setup()
        graph = guard(drawing(), POLICY).copy(update={"checkpointer": Saver(database, lambda error: None)})
        thread: Any = {"configurable": {"thread_id": "t"}}
        first = Remembered(recent=(Interaction(agent="writer", role="instructions", text=ROLE),), facts=(PINNED,))
        result = await graph.ainvoke({"memory": first}, thread)
        for number in range(1, LAST // (2 * FLOOD)):
            result = await graph.ainvoke({"memory": Remembered()}, thread)
            if (number + 1) * 2 * FLOOD in (FIRST, LAST):
                gc.collect()
                await database.execute("PRAGMA wal_checkpoint(TRUNCATE)")  # all of it is in the one file now
                sizes.append((len(result["memory"].model_dump_json()), path.stat().st_size, resident()))
    memory = result["memory"]
    assert memory.of("writer")[0].text == ROLE and memory.fact("line", "opening date").value == PINNED.value
    assert memory.kept_out["writer: contradicts a pinned fact"]
    return sizes


def measure() -> list[Row]:
    """State, file and process at 10,000 interactions over those at 2,000."""
    with tempfile.TemporaryDirectory() as folder:
        command = [sys.executable, "-m", "bench.memory_rot", "--child", folder]
        done = subprocess.run(command, stdout=subprocess.PIPE, check=True, env={**os.environ, "INTERLOCK_DATA": folder})
    first, last = json.loads(done.stdout)
    note = (
        f"memory rot: one thread, {FIRST:,} against {LAST:,} interactions, two agents; the writer still "
        "knows its role and the pinned fact."
    )
    names = (("live state", "KB", 1e3), ("checkpoint file", "KB", 1e3), ("process", "MiB", 1024))
    return [
        Row(f"{LAST:,} interactions: {what}", f"{a / per:.1f} {unit}", f"{b / per:.1f} {unit}", b / a, BAR, note)
        for (what, unit, per), a, b in zip(names, first, last, strict=True)
    ]


if __name__ == "__main__":
    if "--child" in sys.argv:
        logging.getLogger("interlock").setLevel(logging.CRITICAL)
        print(json.dumps(asyncio.run(_talk(Path(sys.argv[-1])))))
    else:
        sys.exit(finish(measure()))
