"""A run gives up stated things at stated parts of its limits, each once, and says so (guide: P1)."""

import asyncio
import os
from typing import Any

import pytest
from kit import LOOSE, Log, Written, chain, named, raises, says
from langchain_openai import ChatOpenAI
from langgraph.checkpoint.memory import InMemorySaver
from langgraph.graph import END, START, StateGraph
from model_server import ModelServer

from guards import Policy, Step, Unsafe, check, closing, degraded, fallback, gather, guard, loop
from nodes.models import name_for
from state.research import Context

PAID = LOOSE.but(calls=10, tokens=None, dollars=None, calls_in_flight=None)


async def ask(state: Any) -> Written:
    model = ChatOpenAI(model="gpt-4o-mini", base_url=os.environ["OPENAI_BASE_URL"], max_retries=0)
    await model.ainvoke("hello")
    return {"log": ["asked"]}


def asks(name: str) -> Any:
    async def node(state: Log) -> Written:
        return await ask(state)

    return named(name, node)


def policy(to: Any, at: float, of: Any = "calls", **more: Any) -> Policy:
    return PAID.but(degrade=(Step(to, at, of),), **more)


def sequence(number: int) -> Any:
    """Agents one after the other, each with a plan that needs no model."""
    return chain(*(fallback(asks(f"agent_{each}"), says("plain")) for each in range(number)))


async def test_bare_a_run_spends_on(server: ModelServer) -> None:
    await sequence(6).compile().ainvoke({"log": []})
    assert len(server.calls) == 6


async def test_extractive_makes_no_further_call_and_says_why(server: ModelServer) -> None:
    result = await guard(sequence(6), policy("extractive", 0.3)).ainvoke({"log": []})
    assert len(server.calls) == 3 and result["log"] == ["asked"] * 3 + ["plain"] * 3
    run = result["run"]
    assert run.outcome == "partial" and run.stop_reason == "degraded: extractive from 30% of 10 calls on"
    assert run.degraded == ("extractive",) and len(run.missing) == 1


@pytest.mark.parametrize("of", ["dollars", "tokens", "seconds"])
async def test_every_limit_may_be_the_threshold(of: Any, server: ModelServer) -> None:
    limits = {"dollars": 1.0, "tokens": 100_000, "seconds": 20.0}
    more = {of: limits[of], "prices": {"gpt-4o-mini": (1.0, 1.0)}}
    result = await guard(sequence(3), policy("extractive", 1e-9, of, **more)).ainvoke({"log": []})
    assert result["run"].degraded == ("extractive",) and f"{of} on" in result["run"].stop_reason


async def test_branches_that_cross_the_threshold_together_take_the_step_once(server: ModelServer) -> None:
    graph = chain(asks("first"))
    graph.edges.discard(("first", END))
    worker = fallback(asks("worker"), says("plain"))
    gather(graph, "first", worker, over=lambda state: [{}] * 9, at_most=9, into=closing(says("join")))
    graph.add_edge("join", END)
    result = await guard(graph, policy("extractive", 0.1)).ainvoke({"log": []})
    assert len(server.calls) == 1 and result["log"].count("plain") == 9
    assert len(result["run"].missing) == 1


async def test_a_step_stays_taken_after_a_resume(server: ModelServer) -> None:
    reached, gate = asyncio.Event(), asyncio.Event()

    async def waits(state: Log) -> Written:
        reached.set()
        await gate.wait()
        return {}

    graph = chain(asks("first"), fallback(asks("second"), says("plain")), named("waits", waits), says("end"))
    guarded = guard(graph, policy("extractive", 0.1)).copy(update={"checkpointer": InMemorySaver()})
    thread: Any = {"configurable": {"thread_id": "t"}}
    task = asyncio.create_task(guarded.ainvoke({"log": []}, thread, durability="sync"))
    await reached.wait()
    task.cancel()
    await asyncio.wait([task])
    gate.set()
    result = await guarded.ainvoke(None, thread)
    assert result["run"].degraded == ("extractive",) and len(result["run"].missing) == 1
    assert len(server.calls) == 1


async def test_a_sub_agent_that_begins_later_is_degraded_too(server: ModelServer) -> None:
    graph: Any = StateGraph(Log)
    graph.add_node("first", fallback(asks("first"), says("plain")))
    graph.add_node("inner", guard(sequence(2), PAID))
    graph.add_edge(START, "first")
    graph.add_edge("first", "inner")
    graph.add_edge("inner", END)
    result = await guard(graph, policy("extractive", 0.1)).ainvoke({"log": []})
    assert len(server.calls) == 1 and result["log"].count("plain") == 2


async def test_a_cheaper_model_is_asked_from_the_threshold_on(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("INTERLOCK_CHEAP_MODEL", "cheap")
    seen: list[str] = []

    async def first(state: Log) -> Written:
        seen.append(name_for("writer", Context()))
        return {}

    async def second(state: Log) -> Written:
        seen.append(name_for("writer", Context(models={"cheap": "cheaper still"})))
        return {}

    steps = LOOSE.but(degrade=(Step("cheaper model", 1e-9, "seconds"),))
    await guard(chain(named("first", first)), LOOSE).ainvoke({"log": []})
    await guard(chain(named("second", second)), steps).ainvoke({"log": []})
    assert seen == ["gpt-4o-mini", "cheaper still"] and name_for("writer", None) == "gpt-4o-mini"


SOON = 1e-9


@pytest.mark.parametrize(("to", "ran"), [("fewer branches", 5), ("single agent", 1)])
async def test_a_fan_out_is_cut(to: Any, ran: int) -> None:
    graph = chain(says("plan"))
    graph.edges.discard(("plan", END))
    gather(graph, "plan", says("worker"), over=lambda state: [{}] * 9, at_most=9, into=closing(says("join")))
    graph.add_edge("join", END)
    result = await guard(graph, LOOSE.but(degrade=(Step(to, SOON, "seconds"),))).ainvoke({"log": []})
    assert result["log"].count("worker") == ran and "join" in result["log"]


@pytest.mark.parametrize(("to", "ran"), [("fewer branches", {"a", "b", "d"}), ("single agent", {"a", "d"})])
async def test_named_branches_are_given_up_but_the_required_ones(to: Any, ran: set[str]) -> None:
    graph = chain(says("plan"))
    graph.edges.discard(("plan", END))
    branches = [says(name) for name in "abcd"]
    gather(graph, "plan", branches, into=closing(says("join")), min_ok=1, required=["d"])
    graph.add_edge("join", END)
    result = await guard(graph, LOOSE.but(degrade=(Step(to, SOON, "seconds"),))).ainvoke({"log": []})
    assert set(result["log"]) - {"plan", "join"} == ran
    assert {entry.reason for entry in result["run"].missing} >= {"not started: fewer branches"}


async def test_sequential_runs_the_nodes_of_a_step_one_after_the_other() -> None:
    running, most = set[str](), 0

    def branch(name: str) -> Any:
        async def node(state: Log) -> Written:
            nonlocal most
            running.add(name)
            most = max(most, len(running))
            await _a_moment()
            running.discard(name)
            return {"log": [name]}

        return named(name, node)

    for steps, together in (((), 4), ((Step("sequential", SOON, "seconds"),), 1)):
        most = 0
        graph = chain(says("plan"))
        graph.edges.discard(("plan", END))
        gather(graph, "plan", [branch(name) for name in "abcd"], into=closing(says("join")))
        graph.add_edge("join", END)
        result = await guard(graph, LOOSE.but(degrade=steps)).ainvoke({"log": []})
        assert most == together and set("abcd") < set(result["log"])


async def _a_moment() -> None:
    for _ in range(3):
        await asyncio.sleep(0)


async def test_a_single_agent_goes_round_no_more() -> None:
    graph = chain(says("write"), says("review"))
    graph.edges.discard(("review", END))
    loop(graph, "review", back_to="write", until=lambda state: False, then=END, progress=None)
    result = await guard(graph, LOOSE.but(degrade=(Step("single agent", SOON, "seconds"),))).ainvoke({"log": []})
    assert result["log"] == ["write", "review"]


async def test_without_steps_nothing_is_recorded() -> None:
    result = await guard(chain(says("a")), LOOSE).ainvoke({"log": []})
    assert result["run"].degraded == () and degraded() == frozenset()


async def test_a_failure_and_a_step_are_both_told() -> None:
    graph = chain(fallback(raises("broken", ValueError), says("plain")), says("end"))
    result = await guard(graph, LOOSE.but(degrade=(Step("extractive", 1.0, "seconds"),))).ainvoke({"log": []})
    assert result["run"].degraded == () and result["run"].stop_reason == "broken: ValueError"


@pytest.mark.parametrize(
    "step", [{"to": "nicer", "at": 0.5}, {"to": "extractive", "at": 0.5, "of": "luck"}, {"to": "extractive", "at": 0}]
)
def test_a_step_that_is_none_is_refused(step: Any) -> None:
    with pytest.raises(ValueError, match="Step"):
        Step(**step)


async def test_a_step_of_a_limit_that_is_off_is_never_taken(server: ModelServer) -> None:
    result = await guard(sequence(2), policy("extractive", 1e-9, "dollars")).ainvoke({"log": []})
    assert result["run"].degraded == () and len(server.calls) == 2


def test_extractive_needs_a_fallback_somewhere() -> None:
    extractive = LOOSE.but(degrade=(Step("extractive", 0.5),))
    with pytest.raises(Unsafe, match="no node has a fallback"):
        guard(chain(says("a")), extractive)
    assert not check(guard(chain(fallback(says("a"), says("b"))), extractive))
