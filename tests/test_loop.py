"""A loop ends: at its condition, at its limit, with its run; the count is in the state."""

import asyncio
from collections.abc import Callable
from typing import Annotated, Any

import pytest
from kit import LOOSE, Log, says
from langchain_core.messages import AIMessage, AnyMessage, HumanMessage, ToolMessage
from langgraph.checkpoint.memory import InMemorySaver
from langgraph.errors import GraphRecursionError
from langgraph.graph import END, START, StateGraph
from langgraph.graph.message import add_messages
from typing_extensions import TypedDict

from guards import Policy, guard, loop


def drawing(until: Callable[[Any], bool], **said: Any) -> Any:
    graph: Any = StateGraph(Log)
    graph.add_node("write", says("write"))
    graph.add_node("review", says("review"))
    graph.add_edge(START, "write")
    graph.add_edge("write", "review")
    loop(graph, "review", back_to="write", until=until, then=END, **{"progress": None, **said})
    return graph


def never(state: Log) -> bool:
    return False


async def run(graph: Any) -> dict[str, Any]:
    return await graph.ainvoke({"log": []})  # type: ignore[no-any-return]


async def test_third_rejection_ends_the_loop() -> None:
    result = await run(guard(drawing(never), LOOSE))
    assert result["log"] == ["write", "review"] * 3
    assert result["run"].outcome == "partial"
    assert result["run"].stop_reason == "review: not settled after 3 of 3 rounds"


async def test_bare_a_reviewer_that_never_approves_goes_on_for_ever() -> None:
    with pytest.raises(GraphRecursionError):
        await drawing(never).compile().ainvoke({"log": []}, {"recursion_limit": 60})


async def test_approval_ends_the_loop_at_once() -> None:
    result = await run(guard(drawing(lambda state: len(state["log"]) >= 4), LOOSE))
    assert result["log"] == ["write", "review"] * 2 and result["run"].outcome == "complete"


@pytest.mark.parametrize(("said", "rounds"), [({"at_most": 1}, 1), ({"at_most": 5}, 5), ({}, 2)])
async def test_the_limit_is_the_loops_own_or_the_policys(said: Any, rounds: int) -> None:
    result = await run(guard(drawing(never, **said), LOOSE.but(rounds=2)))
    assert result["log"].count("review") == rounds


@pytest.mark.parametrize(("steps", "rounds"), [(3, 1), (4, 1), (5, 2), (6, 2), (7, 3), (50, 3)])
async def test_a_recursion_limit_that_is_too_low_ends_the_loop_in_time(steps: int, rounds: int) -> None:
    result = await guard(drawing(never), LOOSE).ainvoke({"log": []}, {"recursion_limit": steps})
    assert result["log"].count("review") == rounds
    assert result["run"].outcome == ("stopped" if rounds < 3 else "partial")
    assert ("recursion_limit" in result["run"].stop_reason) == (rounds < 3)


async def test_running_out_of_rounds_is_no_loss_where_the_drawing_says_it_is_enough() -> None:
    assert (await run(guard(drawing(never, enough=True), LOOSE)))["run"].outcome == "complete"


async def test_a_condition_that_raises_ends_the_loop_and_the_run_says_so() -> None:
    def broken(state: Log) -> bool:
        raise KeyError("secret")

    result = await run(guard(drawing(broken), LOOSE))
    assert result["log"] == ["write", "review"]
    assert result["run"].outcome == "stopped" and "router after 'review'" in result["run"].stop_reason


async def test_rounds_survive_a_resume() -> None:
    third, gate, reviews = asyncio.Event(), asyncio.Event(), 0

    async def review(state: Log) -> Any:
        nonlocal reviews
        reviews += 1
        if reviews == 3:
            third.set()
            await gate.wait()
        return {"log": ["review"]}

    graph: Any = StateGraph(Log)
    graph.add_node("write", says("write"))
    graph.add_node("review", review)
    graph.add_edge(START, "write")
    graph.add_edge("write", "review")
    loop(graph, "review", back_to="write", until=never, then=END, progress=None)
    guarded = guard(graph, LOOSE).copy(update={"checkpointer": InMemorySaver()})
    config: Any = {"configurable": {"thread_id": "t"}}
    task = asyncio.create_task(guarded.ainvoke({"log": []}, config, durability="sync"))
    await third.wait()
    task.cancel()
    await asyncio.wait([task])
    assert (await guarded.aget_state(config)).values["run"].rounds == {"review": 2}
    gate.set()
    assert (await guarded.ainvoke(None, config))["log"].count("review") == 3


async def test_nested_loops_stay_inside_the_product_of_their_limits() -> None:
    graph: Any = StateGraph(Log)
    for name in ("outer", "inner", "inner_end", "outer_end"):
        graph.add_node(name, says(name))
    graph.add_edge(START, "outer")
    graph.add_edge("outer", "inner")
    graph.add_edge("inner", "inner_end")
    loop(graph, "inner_end", back_to="inner", until=never, at_most=3, then="outer_end", progress=None)
    loop(graph, "outer_end", back_to="outer", until=never, at_most=2, then=END, progress=None)
    assert (await run(guard(graph, LOOSE)))["log"].count("inner") == 6


def test_a_loop_of_no_round_is_refused() -> None:
    with pytest.raises(ValueError, match="at least 1"):
        drawing(never, at_most=0)
    with pytest.raises(ValueError):
        Policy(rounds=0)


class Talk(TypedDict, total=False):
    draft: str
    verdict: str
    messages: Annotated[list[AnyMessage], add_messages]


def revising(drafts: list[str], **said: Any) -> Any:
    """A writer with these drafts, one a round, and a reviewer that never approves."""
    left = iter(drafts)

    async def write(state: Talk) -> Talk:
        return {"draft": next(left)}

    async def review(state: Talk) -> Talk:
        return {"verdict": "not good enough"}

    graph: Any = StateGraph(Talk)
    graph.add_node("write", write)
    graph.add_node("review", review)
    graph.add_edge(START, "write")
    graph.add_edge("write", "review")
    loop(graph, "review", back_to="write", until=lambda state: False, then=END, at_most=9, **said)
    return graph


@pytest.mark.parametrize(
    ("drafts", "reason"),
    [
        (["a", "a"], "round 2 changed nothing"),
        (["a", "b", "b"], "round 3 changed nothing"),
        (["a", "b", "c", "b"], "round 4 repeats round 2"),
    ],
)
async def test_a_round_without_progress_ends_the_loop(drafts: list[str], reason: str) -> None:
    result = await guard(revising(drafts), LOOSE).ainvoke({"draft": ""})
    assert result["draft"] == drafts[-1] and result["run"].outcome == "partial"
    assert result["run"].stop_reason == f"review: no progress: {reason}"
    assert not result["run"].progress["review"].digests


async def test_bare_a_loop_without_progress_goes_on_for_ever() -> None:
    with pytest.raises(GraphRecursionError):
        await revising(["a"] * 99).compile().ainvoke({"draft": ""}, {"recursion_limit": 60})


async def test_a_standstill_is_no_loss_where_the_drawing_says_it_is_enough() -> None:
    assert (await guard(revising(["a", "a"], enough=True), LOOSE).ainvoke({}))["run"].outcome == "complete"


async def test_what_counts_as_progress_may_be_said() -> None:
    drafts = ["a 1", "a 2", "a 3"]
    result = await guard(revising(drafts, progress=lambda state: state["draft"][0]), LOOSE).ainvoke({})
    assert result["draft"] == "a 2" and "round 2 changed nothing" in result["run"].stop_reason


async def test_a_tool_that_is_called_alike_again_and_again_is_no_progress() -> None:
    async def agent(state: Talk) -> Talk:
        number = len(state["messages"])
        return {"messages": [AIMessage("", tool_calls=[{"name": "look", "args": {"at": 1}, "id": f"call-{number}"}])]}

    async def look(state: Talk) -> Talk:
        return {"messages": [ToolMessage("nothing", tool_call_id=state["messages"][-1].tool_calls[0]["id"])]}  # type: ignore[union-attr]

    graph: Any = StateGraph(Talk)
    graph.add_node("agent", agent)
    graph.add_node("look", look)
    graph.add_edge(START, "agent")
    graph.add_edge("look", "agent")
    loop(graph, "agent", back_to="look", until=lambda state: False, then=END, at_most=9)
    result = await guard(graph, LOOSE).ainvoke({"messages": [HumanMessage("go")]})
    assert "round 3 changed nothing" in result["run"].stop_reason


async def test_a_state_that_cannot_be_compared_leaves_the_limit() -> None:
    huge = [str(number) for number in range(30_000)]
    result = await guard(revising(["a"] * 9, progress=lambda state: huge), LOOSE).ainvoke({})
    assert result["run"].stop_reason == "review: not settled after 9 of 9 rounds"
