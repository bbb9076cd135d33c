"""Every limit holds where it is easily lost: in threads, fallbacks, sub-agents, fan-outs, retries and resumes."""

import asyncio
import os
import threading
import time
from pathlib import Path
from typing import Any

import pytest
from kit import LOOSE, Log, Written, chain, hangs, named, raises, says
from langchain_core.tools import tool
from langchain_openai import ChatOpenAI
from langgraph.checkpoint.memory import InMemorySaver
from langgraph.graph import END, START, StateGraph
from model_server import ModelServer

from guards import Policy, closing, fallback, gather, guard, trim
from guards.running.scope import _scopes
from state.memory import RECENT_KEPT

FREE = LOOSE.but(prices={"gpt-4o-mini": (1.0, 1.0)})
PATIENCE = 60.0
"""Seconds on a loaded machine for what takes some tenths of one, and what a limit that does not hold never keeps."""


async def run(graph: Any, **state: Any) -> dict[str, Any]:
    """The run's end, or a failed test when it does not end."""
    return await asyncio.wait_for(graph.ainvoke({"log": [], **state}), PATIENCE)  # type: ignore[no-any-return]


def plain_model(**more: Any) -> ChatOpenAI:
    """The model of an author who forgot about limits (LangChain shares HTTP clients by address, also across loops)."""
    return ChatOpenAI(model="gpt-4o-mini", base_url=os.environ["OPENAI_BASE_URL"], max_retries=0, **more)


async def asks(state: Any) -> Written:
    """A node that calls it once."""
    await plain_model().ainvoke("hello")
    return {"log": ["asked"]}


def test_the_defaults_are_the_guides() -> None:
    policy = Policy()
    assert (policy.timeout, policy.seconds, policy.rounds, RECENT_KEPT) == (30.0, 300.0, 3, 20)
    assert len(trim()([], [("user", str(number)) for number in range(50)])) == 20


# -- time


async def test_a_fallback_that_hangs_is_bounded_too() -> None:
    graph = guard(
        chain(fallback(raises("bad", ValueError), hangs("plain")), closing(says("last"))), LOOSE.but(timeout=0.1)
    )
    result = await run(graph)
    assert result["log"] == ["last"] and result["run"].outcome == "stopped"
    assert [entry.status for entry in result["run"].missing] == ["failed", "timed out"]


async def test_a_closing_node_that_hangs_does_not_hold_the_run() -> None:
    result = await run(guard(chain(says("a"), closing(hangs("last"))), LOOSE.but(timeout=0.1)))
    assert result["log"] == ["a"] and result["run"].outcome == "stopped"


async def test_a_synchronous_tool_in_a_thread_is_left_behind_and_its_result_is_dropped() -> None:
    gate, ended = threading.Event(), threading.Event()

    @tool
    def look(query: str) -> str:
        """Look something up, and never come back."""
        gate.wait(30)
        ended.set()
        return "late"

    async def node(state: Log) -> Written:
        return {"log": [await look.ainvoke({"query": "x"})]}

    try:
        result = await run(guard(chain(node, closing(says("last"))), LOOSE.but(timeout=0.1)))
        assert not ended.is_set()
        assert result["log"] == ["last"] and result["run"].missing[0].status == "timed out"
    finally:
        gate.set()


async def test_code_that_blocks_the_loop_unseen_uses_up_the_run_and_the_next_node_is_not_begun() -> None:
    block = getattr(time, "sl" + "eep")  # no check sees it

    async def blocks(state: Log) -> Written:
        block(0.4)
        return {"log": ["blocked"]}

    result = await run(guard(chain(blocks, says("next"), closing(says("last"))), LOOSE.but(seconds=0.2)))
    assert result["log"][-1] == "last" and "next" not in result["log"]
    assert result["run"].outcome == "stopped" and "time limit of 0.2 s" in result["run"].stop_reason


@pytest.mark.parametrize("process", ["the same", "another"])
async def test_the_deadline_and_the_spent_calls_survive_a_resume_in(process: str, server: ModelServer) -> None:
    started, gate = asyncio.Event(), asyncio.Event()

    async def waits(state: Log) -> Written:
        started.set()
        await gate.wait()
        return {}

    graph = guard(chain(asks, waits, named("more", _copy(asks))), FREE.but(calls=1))
    graph = graph.copy(update={"checkpointer": InMemorySaver()})
    config: Any = {"configurable": {"thread_id": "t"}}
    task = asyncio.create_task(graph.ainvoke({"log": []}, config, durability="sync"))
    await asyncio.wait_for(started.wait(), PATIENCE)
    task.cancel()
    await asyncio.wait([task])
    if process == "another":
        _scopes.clear()  # what a process holds and another one does not
    before = (await graph.aget_state(config)).values["run"]
    gate.set()
    after = (await graph.ainvoke(None, config))["run"]
    assert (after.id, after.started, after.deadline) == (before.id, before.started, before.deadline)
    assert len(server.calls) == 1 == after.spent.calls and "limit of 1 calls" in after.stop_reason


def _copy(node: Any) -> Any:
    async def copied(state: Log) -> Written:
        return await node(state)  # type: ignore[no-any-return]

    return copied


# -- the contract


async def test_a_run_that_its_caller_cancels_leaves_a_valid_record_with_what_was_found() -> None:
    started = asyncio.Event()

    async def waits(state: Log) -> Written:
        started.set()
        await asyncio.Event().wait()
        return {}

    graph = guard(chain(says("a"), waits), LOOSE).copy(update={"checkpointer": InMemorySaver()})
    config: Any = {"configurable": {"thread_id": "t"}}
    task = asyncio.create_task(graph.ainvoke({"log": []}, config, durability="sync"))
    await asyncio.wait_for(started.wait(), PATIENCE)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    kept = (await graph.aget_state(config)).values
    assert kept["log"] == ["a"] and kept["run"].outcome in ("complete", "partial", "stopped") and kept["run"].id


@pytest.mark.parametrize("bad", [raises("bad", RuntimeError), hangs("bad"), raises("bad", asyncio.CancelledError)])
async def test_however_a_branch_is_lost_inside_a_sub_agent_the_run_ends_with_a_reason(bad: Any) -> None:
    inner = guard(chain(says("found"), bad, closing(says("inner last"))), LOOSE.but(timeout=0.2), name="inner")
    graph: Any = StateGraph(Log)
    graph.add_node("sub", inner)
    graph.add_node("last", closing(says("last")))
    graph.add_edge(START, "sub")
    graph.add_edge("sub", "last")
    graph.add_edge("last", END)
    result = await run(guard(graph, LOOSE))
    assert result["log"] == ["found", "inner last", "last"]
    assert result["run"].outcome == "partial" and "sub/bad" in result["run"].stop_reason


# -- calls, in the whole tree


def workers(worker: Any, items: int, policy: Policy) -> Any:
    graph: Any = StateGraph(Log)
    graph.add_node("a", says("a"))
    graph.add_edge(START, "a")
    gather(graph, "a", worker, over=lambda state: [{"log": []}] * items, at_most=items, into=closing(says("join")))
    graph.add_edge("join", END)
    return guard(graph, policy)


async def test_fifty_branches_with_a_plain_model_send_five_calls_on_a_limit_of_five(server: ModelServer) -> None:
    result = await run(workers(asks, 50, FREE.but(calls=5)))
    assert len(server.calls) == 5 == result["run"].spent.calls
    assert result["log"].count("asked") == 5 and result["log"][-1] == "join"


async def test_fifty_guarded_sub_agents_send_five_calls_on_their_callers_limit_of_five(server: ModelServer) -> None:
    inner = guard(chain(asks, named("again", _copy(asks))), FREE.but(calls=40), name="inner")

    async def worker(state: Any) -> Written:
        return {"log": (await inner.ainvoke({"log": []}))["log"]}

    result = await run(workers(worker, 50, FREE.but(calls=5)))
    assert len(server.calls) == 5 == result["run"].spent.calls
    assert result["log"].count("asked") == 5 and result["log"][-1] == "join"


@pytest.mark.parametrize("limit", [{"calls": 3}, {"tokens": 12_040}, {"dollars": 0.01204}])
async def test_at_a_limit_the_run_stops_and_names_it(limit: dict[str, Any], server: ModelServer) -> None:
    async def greedy(state: Log) -> Written:
        for _ in range(30):
            await plain_model(max_tokens=12_000).ainvoke("hello")
        return {"log": ["greedy"]}

    result = await run(guard(chain(greedy, closing(says("last"))), FREE.but(calls=99).but(**limit)))
    record, (name, most) = result["run"], next(iter(limit.items()))
    spent = {"tokens": record.spent.input_tokens + record.spent.output_tokens}.get(name, getattr(record.spent, name, 0))
    assert record.outcome == "stopped" and f"{name} is reached" in record.stop_reason
    assert 0 < len(server.calls) < 99 and spent <= most and result["log"] == ["last"]


# -- retries, on one floor


@pytest.mark.parametrize("attempts", [1, 2, 4])
async def test_a_storm_of_500_gets_exactly_as_many_requests_as_attempts(attempts: int, server: ModelServer) -> None:
    server.fault("500")
    result = await run(guard(chain(asks), FREE.but(attempts=attempts)))
    assert len(server.calls) == attempts and "HTTP 500" in result["run"].stop_reason


async def test_a_retry_after_that_fits_is_obeyed_over_http(server: ModelServer) -> None:
    server.fault("429", calls=1, retry_after=0.5)
    result = await run(guard(chain(asks), FREE.but(attempts=2)))
    first, second = server.calls
    assert second.started - first.ended >= 0.45 and result["run"].outcome == "complete"


@pytest.mark.parametrize("limits", [{"timeout": 30}, {"seconds": 30}])
async def test_a_retry_after_beyond_the_deadline_is_not_waited_for(limits: Any, server: ModelServer) -> None:
    server.fault("429", retry_after=60)
    result = await run(guard(chain(fallback(asks, says("plain"))), FREE.but(attempts=5).but(**limits)))
    assert len(server.calls) == 1 and result["log"] == ["plain"] and result["run"].outcome == "partial"


def test_a_run_that_makes_no_call_opens_no_books(data_folder: Path) -> None:
    result = asyncio.run(guard(chain(says("a"), says("b")), LOOSE).ainvoke({"log": []}))
    assert result["run"].outcome == "complete" and not data_folder.exists()
