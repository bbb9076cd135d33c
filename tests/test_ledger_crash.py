"""A task that runs again after a crash is billed once for each call that was really made, and gets no new budget."""

import asyncio
import os
from pathlib import Path
from typing import Any

import pytest
from forks import Fork
from kit import LOOSE, Log, Written, chain, named
from model_server import ModelServer

from guards import guard
from guards.ledger.accounts import held_of, spent_of
from guards.stores.chosen import close_stores, store

POLICY = LOOSE.but(prices={"gpt-4o-mini": (1.0, 1.0)}, timeout=30, calls=4)
CONFIG: Any = {"configurable": {"thread_id": "t"}}


def job(url: str, calls: int, nested: bool) -> Any:
    """Two nodes: one call, and then some, by the node itself or by a sub-agent."""
    from langchain_openai import ChatOpenAI

    chat = ChatOpenAI(model="gpt-4o-mini", base_url=url, api_key="none", max_retries=0, max_tokens=50)  # type: ignore[arg-type]

    def asks(times: int) -> Any:
        async def node(state: Log) -> Written:
            for _ in range(times):
                await chat.ainvoke("hello")
            return {"log": ["asked"]}

        return node

    if not nested:
        return guard(chain(named("first", asks(1)), named("second", asks(calls))), POLICY)
    agent = guard(chain(named("inner", asks(calls))), POLICY.but(calls=50), name="agent")

    async def second(state: Log) -> Written:
        return await agent.ainvoke(state)  # type: ignore[no-any-return]

    return guard(chain(named("first", asks(1)), second), POLICY)


def execute(url: str, nested: bool, name: str, folder: Path, fresh: bool, told: Any) -> None:
    os.environ["INTERLOCK_STORE"] = name
    told.send(asyncio.run(_execute(url, nested, folder, fresh)))
    close_stores()


async def _execute(url: str, nested: bool, folder: Path, fresh: bool) -> dict[str, Any]:
    from langgraph.checkpoint.sqlite.aio import AsyncSqliteSaver

    async with AsyncSqliteSaver.from_conn_string(str(folder / "checkpoints.sqlite")) as saver:
        graph = job(url, 3, nested).copy(update={"checkpointer": saver})
        result = await graph.ainvoke({"log": []} if fresh else None, CONFIG, durability="sync")
        record = result["run"]
        return {"id": record.id, "spent": record.spent, "outcome": record.outcome, "reason": record.stop_reason}


async def books(name: str, run: str, monkeypatch: pytest.MonkeyPatch) -> Any:
    monkeypatch.setenv("INTERLOCK_STORE", name)
    rows = await store().due("", 1e12, 1_000)
    assert not [key for key in rows if key.startswith("hold:")]
    assert held_of(rows[f"run:{run}"]).calls == 0
    close_stores()
    return spent_of(rows[f"run:{run}"])


@pytest.mark.parametrize("nested", [False, True])
async def test_a_run_killed_in_mid_call_goes_on_with_what_is_left(
    server: ModelServer, shared: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, nested: bool
) -> None:
    server.fault("hang", first=3, last=3)
    fork = Fork(execute, server.url, nested, shared, tmp_path, True)
    assert await server.until(lambda: len(server.calls) == 3, 30)
    fork.kill()  # one call is settled in the checkpoint, one in the books alone, one is open

    fork = Fork(execute, server.url, nested, shared, tmp_path, False)
    (again,) = fork.hear(1)
    fork.join()
    spent = await books(shared, again["id"], monkeypatch)
    assert len(server.calls) == 4 == spent.calls == again["spent"].calls
    assert spent.spent() == again["spent"].model_copy(update={"seconds": 0.0})
    assert again["spent"].output_tokens > 50, "the call that nobody saw the end of is charged as it was reserved"
    assert again["outcome"] != "complete" and "limit of 4 calls is reached" in again["reason"]
