"""Branches side by side always meet again, however many of them are lost."""

from typing import Any

import pytest
from kit import LOOSE, Log, Written, hangs, raises, says
from langgraph.graph import END, START, StateGraph

from guards import gather, guard


def drawing(branches: Any, **said: Any) -> Any:
    graph: Any = StateGraph(Log)
    graph.add_node("a", says("a"))
    graph.add_edge(START, "a")
    gather(graph, "a", branches, into=says("join"), **said)
    graph.add_edge("join", END)
    return graph


async def worker(state: Any) -> Written:
    return {"log": [f"worked on {state}"]}


async def run(graph: Any) -> dict[str, Any]:
    return await graph.ainvoke({"log": []})  # type: ignore[no-any-return]


async def test_the_join_runs_once_after_all_branches() -> None:
    for graph in (drawing([says("x"), says("y")]).compile(), guard(drawing([says("x"), says("y")]), LOOSE)):
        assert (await run(graph))["log"] == ["a", "x", "y", "join"]


async def test_one_lost_branch_costs_only_itself() -> None:
    result = await run(guard(drawing([says("x"), raises("y", ValueError)]), LOOSE))
    assert result["log"] == ["a", "x", "join"] and result["run"].outcome == "partial"


async def test_bare_one_lost_branch_loses_the_run() -> None:
    with pytest.raises(ValueError):
        await run(drawing([says("x"), raises("y", ValueError)]).compile())


async def test_the_branches_own_policy_bounds_them() -> None:
    result = await run(guard(drawing([says("x"), hangs("y")], policy=LOOSE.but(timeout=0.1)), LOOSE))
    assert result["run"].missing[0].seconds < 2 and result["log"][-1] == "join"


@pytest.mark.parametrize(
    ("said", "outcome"),
    [
        ({"min_ok": 1}, "complete"),
        ({"min_ok": 2}, "partial"),
        ({"min_ok": 1, "required": ["y"]}, "partial"),
        ({"min_ok": 1, "required": ["x"]}, "complete"),
        ({"min_ok": 0}, "complete"),
        ({}, "partial"),
    ],
)
async def test_a_quorum_decides_whether_a_lost_branch_makes_the_run_partial(said: Any, outcome: str) -> None:
    result = await run(guard(drawing([says("x"), raises("y", ValueError)], **said), LOOSE))
    assert result["run"].outcome == outcome
    assert result["run"].missing[0].what == "y"


async def test_a_fan_out_over_items_works_on_each_of_them() -> None:
    graph = guard(drawing(worker, over=lambda state: ["p", "q"], at_most=2), LOOSE)
    assert (await run(graph))["log"] == ["a", "worked on p", "worked on q", "join"]


async def test_a_fan_out_over_nothing_still_reaches_the_join() -> None:
    assert (await run(guard(drawing(worker, over=lambda state: [], at_most=2), LOOSE)))["log"] == ["a", "join"]


async def test_a_fan_out_wider_than_its_cap_is_cut_and_the_rest_is_named() -> None:
    result = await run(guard(drawing(worker, over=lambda state: list(range(500)), at_most=3), LOOSE))
    assert len(result["log"]) == 5
    assert result["run"].outcome == "partial" and "497 of 500 branches not started" in result["run"].stop_reason


def test_a_fan_out_over_items_must_state_its_cap() -> None:
    with pytest.raises(ValueError, match="at_most=N"):
        drawing(worker, over=lambda state: [])
