"""Routers under guard: whatever a router does, the run ends with a reason and takes no way that is not drawn."""

import asyncio
import sys
from collections.abc import Callable
from operator import add
from typing import Annotated, Any

import pytest
from kit import LOOSE, Log, says
from langgraph.checkpoint.memory import InMemorySaver
from langgraph.graph import END, START, StateGraph
from langgraph.types import Command, Send, interrupt

from guards import Policy, closing, gather, guard, request_stop
from state.guarded import Guarded, Run

THREAD: Any = {"configurable": {"thread_id": "t"}}


async def first(state: Log) -> str:
    return "a"


def drawing(route: Any) -> Any:
    """A router that may go to one node or the last; another node is not among its targets."""
    graph: Any = StateGraph(Log)
    graph.add_node("a", says("a"))
    for name in ("b", "hidden"):
        graph.add_node(name, says(name))
        graph.add_edge(name, "last")
    graph.add_node("last", closing(says("last")))
    graph.add_conditional_edges(START, first, ["a", "hidden"])
    graph.add_conditional_edges("a", route, ["b", "last"])
    graph.add_edge("last", END)
    return graph


LENIENT = LOOSE.but(timeout=0.2)


async def ended(route: Any, policy: Policy = LENIENT) -> Any:
    return await guard(drawing(route), policy).ainvoke({"log": []})


def returning(value: Any) -> Callable[[Log], Any]:
    async def route(state: Log) -> Any:
        return value

    return route


async def exits(state: Log) -> str:
    sys.exit(3)


async def generator_exits(state: Log) -> str:
    raise GeneratorExit


async def cancels_itself(state: Log) -> str:
    raise asyncio.CancelledError


async def swallows_cancellation(state: Log) -> str:
    for _ in range(2):
        try:
            await asyncio.Event().wait()
        except asyncio.CancelledError:
            continue
    return "b"


def exits_synchronously(state: Log) -> str:
    sys.exit(3)


BAD = [exits, exits_synchronously, generator_exits, cancels_itself, swallows_cancellation]
LOST = [None, [], (), 3, "nowhere", "hidden", ["b", ["last"]], {"b": 1}, Send("nowhere", {}), Send("hidden", {})]


@pytest.mark.parametrize("route", BAD)
async def test_a_router_that_fails_in_any_way_stops_the_run_and_closing_nodes_run(route: Any) -> None:
    result = await ended(route)
    assert result["log"] == ["a", "last"]
    assert result["run"].outcome == "stopped" and "the router after 'a' failed" in result["run"].stop_reason


@pytest.mark.parametrize("value", LOST, ids=str)
async def test_a_router_never_leads_where_its_drawing_does_not(value: Any) -> None:
    result = await ended(returning(value))
    assert result["log"] == ["a", "last"] and result["run"].outcome == "stopped"


@pytest.mark.parametrize("kind", [list, tuple])
async def test_what_a_router_sends_is_cut_at_the_policys_cap(kind: Any) -> None:
    result = await ended(returning(kind(Send("b", {}) for _ in range(50))), LENIENT.but(fan_out=3))
    assert result["log"].count("b") == 3
    assert "47 of 50 branches not started" in result["run"].stop_reason


async def test_what_a_command_sends_is_cut_at_the_policys_cap() -> None:
    async def flood(state: Log) -> Any:
        return Command(goto=[Send("b", {}) for _ in range(50)])

    graph: Any = StateGraph(Log)
    graph.add_node("flood", flood, destinations=("b",))
    graph.add_node("b", says("b"))
    graph.add_edge(START, "flood")
    graph.add_edge("b", END)
    result = await guard(graph, LOOSE.but(fan_out=3)).ainvoke({"log": []})
    assert result["log"] == ["b"] * 3
    assert result["run"].outcome == "partial" and "47 of 50 branches not started" in result["run"].stop_reason


async def test_a_fan_out_over_a_generator_is_not_begun() -> None:
    def endless(state: Log) -> Any:
        while True:
            yield {}

    graph: Any = StateGraph(Log)
    graph.add_node("a", says("a"))
    graph.add_edge(START, "a")
    gather(graph, "a", says("w"), into=says("j"), over=endless, at_most=2)
    result = await guard(graph, LOOSE).ainvoke({"log": []})
    assert result["run"].outcome == "stopped" and "return a list" in result["run"].stop_reason


async def asks(state: Log) -> str:
    return str(interrupt("where to?"))


async def test_a_router_may_wait_for_a_person() -> None:
    saved = guard(drawing(asks), LOOSE).copy(update={"checkpointer": InMemorySaver()})
    assert (await saved.ainvoke({"log": []}, THREAD))["__interrupt__"][0].value == "where to?"
    assert (await saved.ainvoke(Command(resume="b"), THREAD))["log"] == ["a", "b", "last"]


async def test_a_router_that_nobody_can_answer_stops_the_run() -> None:
    result = await ended(asks)
    assert result["log"] == ["a", "last"] and "no checkpointer" in result["run"].stop_reason


@pytest.mark.parametrize("route", [*BAD, returning("nowhere")])
async def test_a_router_at_the_start_that_fails_stops_the_run(route: Any) -> None:
    graph: Any = StateGraph(Log)
    graph.add_node("a", says("a"))
    graph.add_node("last", closing(says("last")))
    graph.add_conditional_edges(START, route, ["a", "last"])
    graph.add_edge("a", "last")
    graph.add_edge("last", END)
    result = await guard(graph, LENIENT).ainvoke({"log": []})
    assert result["log"] == ["last"]
    assert result["run"].outcome == "stopped" and "the router after '__start__' failed" in result["run"].stop_reason


async def test_a_stop_ends_a_router_that_is_deciding() -> None:
    deciding = asyncio.Event()

    async def ponders(state: Log) -> str:
        deciding.set()
        await asyncio.Event().wait()
        return "b"

    saved = guard(drawing(ponders), LOOSE).copy(update={"checkpointer": InMemorySaver()})
    run = asyncio.create_task(saved.ainvoke({"log": []}, {"configurable": {"thread_id": "pondering"}}))
    await deciding.wait()
    assert request_stop("pondering", "enough")
    result = await run
    assert result["log"] == ["a", "last"] and result["run"].stop_reason == "enough"


class Brought(Guarded, total=False):
    log: Annotated[list[str], add]


async def test_a_client_cannot_bring_a_record_of_its_own() -> None:
    graph: Any = StateGraph(Brought)
    graph.add_node("a", says("a"))
    graph.add_conditional_edges(START, first, ["a"])
    graph.add_edge("a", END)
    brought = Run(id="mine", deadline=1.0, stop="never mind")
    record = (await guard(graph, LOOSE).ainvoke({"log": [], "run": brought}))["run"]
    assert record.outcome == "complete" and record.id != "mine"
