"""A debate ends with an answer, whatever its agents do (guide: C6, M1)."""

import asyncio
from collections.abc import Callable
from typing import Annotated, Any

import pytest
from kit import LOOSE
from langgraph.checkpoint.memory import InMemorySaver
from langgraph.errors import GraphRecursionError
from langgraph.graph import END, START, StateGraph
from typing_extensions import TypedDict

from guards import Unsafe, debate, guard
from state.debate import Debate, Opinion, Position, discuss


class Argued(TypedDict, total=False):
    topic: str
    debate: Annotated[Debate, discuss]
    log: list[str]


Says = Callable[[int], str]


def arguer(name: str, says: Says) -> Any:
    async def agent(state: Argued) -> Opinion:
        return Opinion(answer=says(state["debate"].exchange), argument=f"{name} thinks so")

    agent.__name__ = name
    return agent


def always(name: str, answer: str) -> Any:
    return arguer(name, lambda exchange: answer)


async def topic(state: Argued) -> Argued:
    return {"topic": "which way?"}


async def report(state: Argued) -> Argued:
    return {"log": [state["debate"].outcome]}


def drawing(*agents: Any, **said: Any) -> Any:
    graph: Any = StateGraph(Argued)
    graph.add_node("topic", topic)
    graph.add_node("report", report)
    graph.add_edge(START, "topic")
    debate(graph, "topic", agents, then="report", **said)
    graph.add_edge("report", END)
    return graph


async def argued(*agents: Any, **said: Any) -> tuple[Debate, Any]:
    result = await guard(drawing(*agents, **said), LOOSE).ainvoke({})
    assert result["log"] == [result["debate"].outcome]
    return result["debate"], result["run"]


async def test_bare_agents_argue_until_langgraph_stops_them_and_nothing_is_kept() -> None:
    graph: Any = StateGraph(Argued)
    for one, other in (("yes", "no"), ("no", "yes")):
        graph.add_node(one, topic)
        graph.add_conditional_edges(one, lambda state: "on", {"on": other, "agreed": END})
    graph.add_edge(START, "yes")
    with pytest.raises(GraphRecursionError):
        await graph.compile().ainvoke({}, {"recursion_limit": 100})
    with pytest.raises(Unsafe):
        guard(graph, LOOSE)


async def test_agreement_ends_a_debate_at_once() -> None:
    held, run = await argued(always("one", "Left."), always("two", "left"))
    assert (held.outcome, held.decided_by, held.exchange, held.dissent) == ("Left.", "agreement", 1, ())
    assert run.outcome == "complete"


async def test_an_agent_may_be_convinced() -> None:
    held, _ = await argued(always("one", "left"), arguer("two", lambda n: "right" if n < 2 else "left"))
    assert (held.outcome, held.decided_by, held.exchange) == ("left", "agreement", 2)


async def test_from_the_third_exchange_on_the_judge_decides() -> None:
    asked = list[int]()

    async def judge(state: Argued) -> Opinion:
        asked.append(state["debate"].exchange)
        return Opinion(answer="right 3", argument="better reasons")

    held, _ = await argued(arguer("one", lambda n: f"left {n}"), arguer("two", lambda n: f"right {n}"), judge=judge)
    assert asked == [3] and (held.outcome, held.decided_by, held.ended) == ("right 3", "judge", "better reasons")
    assert [one.agent for one in held.dissent] == ["one"]


@pytest.mark.parametrize("verdict", ["", "something that nobody holds"])
async def test_a_judge_that_picks_nothing_lets_them_go_on_to_the_fifth_exchange(verdict: str) -> None:
    async def judge(state: Argued) -> Opinion:
        return Opinion(answer=verdict)

    held, _ = await argued(arguer("one", lambda n: f"left {n}"), arguer("two", lambda n: f"right {n}"), judge=judge)
    assert held.exchange == 5 and held.decided_by == "first named" and held.outcome == "left 5"


async def test_without_a_judge_what_most_hold_is_picked_after_the_third_exchange() -> None:
    moving = arguer("one", lambda n: f"left {n}")
    held, _ = await argued(moving, always("two", "right"), always("three", "right"))
    assert (held.outcome, held.decided_by, held.exchange) == ("right", "most supporters", 3)
    assert [one.agent for one in held.dissent] == ["one"]


async def test_a_tie_is_broken_by_the_order_of_the_agents_every_time() -> None:
    for _ in range(5):
        held, _ = await argued(arguer("zeta", lambda n: f"left {n}"), arguer("alpha", lambda n: f"right {n}"))
        assert (held.outcome, held.decided_by) == ("left 3", "first named")


async def test_ping_pong_is_found() -> None:
    async def judge(state: Argued) -> Opinion:
        return Opinion(answer="")

    swap = [arguer("one", lambda n: "ab"[n % 2]), arguer("two", lambda n: "ba"[n % 2])]
    held, _ = await argued(*swap, judge=judge)
    assert held.exchange == 3 and held.ended == "ping-pong: exchange 3 repeats exchange 1"


async def test_a_debate_in_which_nobody_moves_ends() -> None:
    held, _ = await argued(always("one", "left"), always("two", "right"))
    assert held.exchange == 2 and held.ended == "nobody moves" and held.outcome == "left"


async def test_an_agent_that_fails_costs_only_itself() -> None:
    async def broken(state: Argued) -> Opinion:
        if state["debate"].exchange == 1:
            return Opinion(answer="right")
        raise ValueError("secret")

    held, run = await argued(arguer("one", lambda n: f"left {n}"), broken)
    assert held.dissent[0] == Position(**{**held.dissent[0].model_dump(), "agent": "broken", "answer": "right"})
    assert run.outcome == "partial" and "secret" not in run.stop_reason


async def test_when_nobody_speaks_the_debate_ends_and_says_so() -> None:
    async def one(state: Argued) -> Opinion:
        raise ValueError

    async def two(state: Argued) -> Opinion:
        raise ValueError

    held, run = await argued(one, two)
    assert held.decided_by == "nobody spoke" and run.outcome == "partial"


async def test_the_debates_own_seconds_end_it_and_the_silent_agent() -> None:
    async def silent(state: Argued) -> Opinion:
        await asyncio.Event().wait()
        raise AssertionError

    held, run = await argued(always("one", "left"), silent, seconds=0.2)
    assert held.outcome == "left" and run.missing[0].what == "silent"
    assert held.ended == "the debate's 0.2 s are over"


async def test_a_debate_goes_on_where_it_was_after_a_resume() -> None:
    started, seen = asyncio.Event(), list[int]()

    async def slow(state: Argued) -> Opinion:
        seen.append(state["debate"].exchange)
        if state["debate"].exchange == 2 and not started.is_set():
            started.set()
            await asyncio.Event().wait()
        return Opinion(answer=f"right {state['debate'].exchange}")

    graph = guard(drawing(arguer("one", lambda n: f"left {n}"), slow), LOOSE).copy(
        update={"checkpointer": InMemorySaver()}
    )
    thread: Any = {"configurable": {"thread_id": "t"}}
    task = asyncio.create_task(graph.ainvoke({}, thread, durability="sync"))
    await started.wait()
    task.cancel()
    await asyncio.wait([task])
    result = await graph.ainvoke(None, thread)
    assert seen == [1, 2, 2, 3] and result["debate"].exchange == 3


async def test_a_second_debate_on_a_thread_begins_anew() -> None:
    graph = guard(drawing(always("one", "left"), always("two", "left")), LOOSE).copy(
        update={"checkpointer": InMemorySaver()}
    )
    thread: Any = {"configurable": {"thread_id": "t"}}
    first = (await graph.ainvoke({}, thread))["debate"]
    second = (await graph.ainvoke({}, thread))["debate"]
    assert second.exchange == 1 and second.started > first.started and len(second.positions) == 2


async def test_the_same_drawing_ends_bare_too() -> None:
    graph = drawing(always("one", "left"), always("two", "right")).compile()
    assert (await graph.ainvoke({}))["debate"].outcome == "left"


@pytest.mark.parametrize(
    "said", [{"at_most": 2}, {"answer_after": 0}, {"seconds": 0}, {"at_most": 3, "answer_after": 4}]
)
def test_limits_that_are_none_are_refused(said: Any) -> None:
    with pytest.raises(ValueError, match="answer_after"):
        drawing(always("one", "a"), always("two", "b"), **said)


def test_one_agent_is_no_debate() -> None:
    with pytest.raises(ValueError, match="at least 2 agents"):
        drawing(always("one", "a"), always("one", "b"))


def test_parallel_positions_have_one_order() -> None:
    one, two = (Debate(positions=(Position(agent=name, exchange=1, answer=name),)) for name in "ab")
    assert discuss(discuss(None, one), two).positions == discuss(discuss(None, two), one).positions
