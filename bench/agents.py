"""Agents: a thousand of them, each drawn, guarded and run anew, leave a process as large as the first hundred did.

Ten run at once (guide: spawn agents dynamically, under a cap, with flat memory). Each one calls a model, remembers what
was said, and every tenth fails. In a fresh process of its own (`python -m bench.agents --child`).
"""

import asyncio
import gc
import json
import logging
import os
import subprocess
import sys
import tempfile
from typing import Annotated, Any

from langchain_core.language_models.fake_chat_models import FakeListChatModel
from langchain_core.messages import AnyMessage, HumanMessage, SystemMessage
from langgraph.graph import END, START, StateGraph
from typing_extensions import TypedDict

from bench.memory import resident
from bench.table import Row, finish
from guards import Permanent, Policy, guard, trim

BAR = 1.02
AT_ONCE, FIRST, LAST = 10, 200, 1_200
"""The first two hundred warm up what a process loads once."""

POLICY = Policy(clean_input=False, clean_output=False, attempts=1, dollars=None)


class Talk(TypedDict, total=False):
    """What an agent keeps."""

    messages: Annotated[list[AnyMessage], trim()]


def agent(number: int) -> Any:
    """A new agent with a model and a memory of its own."""
    model = FakeListChatModel(responses=[f"answer {number} " * 100])

    async def think(state: Talk) -> Talk:
        reply = await model.ainvoke(state["messages"])
        if number % 10 == 0:
            raise Permanent("lost its thread")
        return {"messages": [reply]}

    graph = StateGraph(Talk)
    graph.add_node("think", think)
    graph.add_edge(START, "think")
    graph.add_edge("think", END)
    return guard(graph, POLICY, name=f"agent-{number}")


async def spawn(number: int) -> None:
    """One agent with one task."""
    result = await agent(number).ainvoke({"messages": [SystemMessage("You count."), HumanMessage(f"task {number}")]})
    assert result["run"].outcome == ("stopped" if number % 10 == 0 else "complete")


async def _all() -> tuple[int, int]:
    sizes = []
    for start in range(0, LAST, AT_ONCE):
        await asyncio.gather(*(spawn(start + number) for number in range(AT_ONCE)))
        if start + AT_ONCE in (FIRST, LAST):
            gc.collect()
            sizes.append(resident())
    return sizes[0], sizes[1]


def measure() -> list[Row]:
    """RSS after the last agent over RSS after the first ones."""
    with tempfile.TemporaryDirectory() as data:
        command = [sys.executable, "-m", "bench.agents", "--child"]
        done = subprocess.run(command, stdout=subprocess.PIPE, check=True, env={**os.environ, "INTERLOCK_DATA": data})
    first, last = json.loads(done.stdout)
    note = f"agents: RSS after {FIRST} and after {LAST:,} agents, {AT_ONCE} at once, each new and run once."
    claim = "a thousand agents more leave a process as large as it was"
    return [Row(claim, f"{first / 1024:.1f} MiB", f"{last / 1024:.1f} MiB", last / first, BAR, note)]


if __name__ == "__main__":
    if "--child" in sys.argv:
        logging.getLogger("interlock").setLevel(logging.CRITICAL)
        print(json.dumps(asyncio.run(_all())))
    else:
        sys.exit(finish(measure()))
