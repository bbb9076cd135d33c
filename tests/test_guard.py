"""The run contract: whatever a node does, the run ends on its own terms, in the state."""

import asyncio
import time
from typing import Any

import pytest
from kit import LOOSE, Log, Written, chain, hangs, named, raises, says, swallows
from langgraph.checkpoint.memory import InMemorySaver
from langgraph.graph import END, START, StateGraph
from langgraph.graph.state import CompiledStateGraph
from langgraph.types import Command, interrupt

from guards import Policy, Refused, closing, fallback, gather, guard, is_guarded, policy_of, remaining
from guards.running.scope import SCOPES_KEPT, _scopes

QUICK = LOOSE.but(timeout=0.15)


async def run(graph: Any, **config: Any) -> dict[str, Any]:
    return await graph.ainvoke({"log": []}, config)  # type: ignore[no-any-return]


async def test_a_run_that_goes_well_is_complete_and_says_nothing_is_missing() -> None:
    result = await run(guard(chain(says("a"), says("b")), LOOSE))
    assert result["log"] == ["a", "b"]
    record = result["run"]
    assert (record.outcome, record.stop_reason, record.missing) == ("complete", "", ())
    assert record.id and record.trace_id == record.id and 0 <= record.spent.seconds < 5


async def test_what_comes_back_is_langgraphs_own_compiled_graph() -> None:
    graph = guard(chain(says("a")), LOOSE, name="mine")
    assert type(graph) is CompiledStateGraph
    assert graph.name == "mine" and graph.checkpointer is None
    assert is_guarded(graph) and policy_of(graph) == LOOSE
    assert not is_guarded(chain(says("a")).compile())


async def test_the_drawing_is_left_as_it_was() -> None:
    drawing = chain(says("a"), raises("b", ValueError))
    guard(drawing, LOOSE)
    with pytest.raises(ValueError):
        await run(drawing.compile())


@pytest.mark.parametrize("node", [raises("bad", RuntimeError), raises("bad", asyncio.CancelledError), hangs("bad")])
async def test_a_node_without_fallback_that_is_lost_stops_the_run(node: Any) -> None:
    result = await run(guard(chain(says("a"), node, says("b")), QUICK))
    assert result["log"] == ["a"]
    assert result["run"].outcome == "stopped"
    assert "bad" in result["run"].stop_reason
    assert [entry.what for entry in result["run"].missing] == ["bad"]


async def test_bare_the_same_hang_never_ends() -> None:
    with pytest.raises(TimeoutError):
        await asyncio.wait_for(run(chain(says("a"), hangs("bad")).compile()), 0.3)


async def test_a_node_that_swallows_cancellation_is_left_behind_and_its_late_writes_are_lost() -> None:
    began = time.monotonic()
    result = await run(guard(chain(says("a"), swallows("bad")), QUICK))
    assert time.monotonic() - began < 2
    assert result["log"] == ["a"] and result["run"].missing[0].status == "timed out"


async def test_a_fallback_takes_the_place_of_a_lost_node_and_the_run_is_partial() -> None:
    graph = guard(chain(fallback(hangs("bad"), says("plain")), says("b")), QUICK)
    result = await run(graph)
    assert result["log"] == ["plain", "b"]
    assert result["run"].outcome == "partial" and result["run"].stop_reason.startswith("bad: no answer within")


async def test_a_fallback_that_fails_too_stops_the_run() -> None:
    graph = guard(chain(fallback(raises("bad", ValueError), raises("worse", ValueError)), says("b")), LOOSE)
    result = await run(graph)
    assert result["run"].outcome == "stopped" and "fallback failed too" in result["run"].stop_reason
    assert result["log"] == []


async def test_unguarded_a_fallback_node_is_just_its_primary() -> None:
    assert (await run(chain(fallback(says("a"), says("plain"))).compile()))["log"] == ["a"]


async def test_closing_nodes_run_in_an_ending_run_and_others_are_passed_over() -> None:
    graph = guard(chain(raises("bad", ValueError), says("b"), closing(says("last"))), LOOSE)
    result = await run(graph)
    assert result["log"] == ["last"] and result["run"].outcome == "stopped"


async def test_a_refusal_ends_the_run_as_refused_and_takes_no_fallback() -> None:
    bad = raises("bad", lambda: Refused("no such question"))
    result = await run(guard(chain(bad, fallback(says("b"), says("plain")), closing(says("last"))), LOOSE))
    assert result["log"] == ["last"]
    assert (result["run"].outcome, result["run"].stop_reason) == ("refused", "no such question")


async def test_the_runs_deadline_holds_over_many_short_nodes() -> None:
    async def slow(state: Log) -> Written:
        await asyncio.wait_for(asyncio.Event().wait(), 0.2) if remaining() < 0.2 else await asyncio.sleep(0.1)
        return {"log": ["slow"]}

    nodes = [named(f"n{i}", _copy(slow)) for i in range(20)]
    began = time.monotonic()
    result = await run(guard(chain(*nodes, closing(says("last"))), LOOSE.but(seconds=0.6)))
    assert time.monotonic() - began < 0.9
    assert result["run"].outcome == "stopped" and "time limit of 0.6 s" in result["run"].stop_reason
    assert 1 <= result["log"].count("slow") < 6 and result["log"][-1] == "last"


def _copy(node: Any) -> Any:
    async def copied(state: Log) -> Written:
        return await node(state)  # type: ignore[no-any-return]

    return copied


async def test_remaining_tells_a_node_how_long_it_has() -> None:
    seen: list[float] = []

    async def node(state: Log) -> Written:
        seen.append(remaining())
        return {}

    assert remaining() == float("inf")
    await run(guard(chain(node), QUICK))
    assert 0 < seen[0] <= 0.15


async def test_errors_of_nodes_show_their_kind_and_never_their_text() -> None:
    result = await run(guard(chain(raises("bad", lambda: ValueError("password=hunter2"))), LOOSE))
    assert "hunter2" not in result["run"].model_dump_json() and "ValueError" in result["run"].stop_reason


async def test_a_command_to_a_node_that_does_not_exist_is_a_failure_not_a_success() -> None:
    async def lost(state: Log) -> Command[str]:
        return Command(goto=state["topic"])  # a model's choice: no check can see it beforehand

    graph: Any = StateGraph(Log)
    graph.add_node("lost", lost, destinations=("b",))
    graph.add_node("b", says("b"))
    graph.add_edge(START, "lost")
    graph.add_edge("b", END)
    result = await guard(graph, LOOSE).ainvoke({"log": [], "topic": "nowhere"})
    assert result["run"].outcome == "stopped" and "nowhere" in result["run"].stop_reason


async def test_a_node_that_routes_by_command_and_is_lost_still_reaches_the_closing_nodes() -> None:
    graph: Any = StateGraph(Log)
    graph.add_node("bad", raises("bad", ValueError), destinations=("b", "last"))
    graph.add_node("b", says("b"))
    graph.add_node("last", closing(says("last")))
    graph.add_edge(START, "bad")
    graph.add_edge("b", "last")
    graph.add_edge("last", END)
    assert (await run(guard(graph, LOOSE)))["log"] == ["last"]


async def test_the_record_is_in_the_output_even_when_the_output_schema_does_not_name_it() -> None:
    graph: Any = StateGraph(Log, output_schema=Written)
    graph.add_node("a", says("a"))
    graph.add_edge(START, "a")
    assert (await run(guard(graph, LOOSE)))["run"].outcome == "complete"


async def test_a_new_run_on_an_old_thread_begins_a_new_record() -> None:
    graph = guard(chain(raises("bad", ValueError)), LOOSE).copy(update={"checkpointer": InMemorySaver()})
    config = {"configurable": {"thread_id": "t"}}
    first, second = [(await graph.ainvoke({"log": []}, config))["run"] for _ in range(2)]
    assert first.id != second.id and len(second.missing) == 1


async def test_the_deadline_survives_a_resume() -> None:
    started, gate = asyncio.Event(), asyncio.Event()

    async def waits(state: Log) -> Written:
        started.set()
        await gate.wait()
        return {"log": ["waits"]}

    graph = guard(chain(says("a"), waits, closing(says("last"))), LOOSE.but(seconds=0.4))
    graph = graph.copy(update={"checkpointer": InMemorySaver()})
    config: Any = {"configurable": {"thread_id": "t"}}
    task = asyncio.create_task(graph.ainvoke({"log": []}, config, durability="sync"))
    await started.wait()
    task.cancel()
    await asyncio.wait([task])
    deadline = (await graph.aget_state(config)).values["run"].deadline
    await asyncio.sleep(max(0.0, deadline - time.time()))
    gate.set()
    result = await graph.ainvoke(None, config)
    assert result["log"] == ["a", "last"] and result["run"].outcome == "stopped"


async def test_time_spent_waiting_for_a_person_does_not_count_against_the_deadline() -> None:
    async def ask(state: Log) -> Written:
        return {"log": [interrupt("which?")]}

    graph = guard(chain(says("a"), ask, says("b")), LOOSE.but(seconds=0.5))
    graph = graph.copy(update={"checkpointer": InMemorySaver()})
    config: Any = {"configurable": {"thread_id": "t"}}
    await graph.ainvoke({"log": []}, config)
    deadline = (await graph.aget_state(config)).values["run"].deadline
    await asyncio.sleep(max(0.0, deadline - time.time()) + 0.05)
    result = await graph.ainvoke(Command(resume="this"), config)
    assert result["log"] == ["a", "this", "b"] and result["run"].outcome == "complete"


async def test_a_second_run_on_a_busy_thread_is_refused_and_the_first_keeps_its_result() -> None:
    started, gate = asyncio.Event(), asyncio.Event()

    async def waits(state: Log) -> Written:
        started.set()
        await gate.wait()
        return {"log": [state["topic"]]}

    graph = guard(chain(waits, says("b")), LOOSE).copy(update={"checkpointer": InMemorySaver()})
    config: Any = {"configurable": {"thread_id": "t"}}
    first = asyncio.create_task(graph.ainvoke({"log": [], "topic": "first"}, config))
    await started.wait()
    second = await graph.ainvoke({"log": [], "topic": "second"}, config)
    assert second["run"].outcome == "refused" and "using this thread" in second["run"].stop_reason
    gate.set()
    assert (await first)["log"][-2:] == ["first", "b"]
    kept = (await graph.aget_state(config)).values
    assert kept["log"][-2:] == ["first", "b"] and kept["run"].outcome == "complete"


async def test_a_guarded_sub_agent_ends_with_its_caller_and_hands_up_what_it_missed() -> None:
    inner = guard(chain(fallback(raises("bad", ValueError), says("plain"))), LOOSE, name="inner")
    graph: Any = StateGraph(Log)
    graph.add_node("sub", inner)
    graph.add_edge(START, "sub")
    graph.add_edge("sub", END)
    result = await run(guard(graph, LOOSE))
    assert result["log"] == ["plain"]
    assert result["run"].outcome == "partial" and result["run"].missing[0].what == "sub/bad"
    assert result["run"].graph == "graph"


async def test_a_hanging_sub_agent_is_bounded_by_its_callers_time() -> None:
    inner = guard(chain(hangs("bad")), LOOSE.but(timeout=60, seconds=60), name="inner")
    graph: Any = StateGraph(Log)
    graph.add_node("sub", inner)
    graph.add_edge(START, "sub")
    began = time.monotonic()
    result = await run(guard(graph, QUICK.but(seconds=3)))
    assert time.monotonic() - began < 1.5 and result["run"].outcome != "complete"


async def test_a_sub_agent_with_little_time_still_uses_it_and_keeps_some_for_its_fallback() -> None:
    inner = guard(chain(says("x"), fallback(hangs("y"), says("plain"))), LOOSE.but(seconds=100), name="inner")
    result = await guard(chain(named("inner", inner)), LOOSE.but(timeout=1)).ainvoke({"log": []})
    assert result["log"] == ["x", "plain"]
    (lost,) = result["run"].missing
    assert lost.what == "inner/y" and 0.3 < lost.seconds < 0.8


async def test_a_cancelled_run_leaves_no_task_alive() -> None:
    before, started = asyncio.all_tasks(), asyncio.Event()

    async def waits(state: Log) -> Written:
        started.set()
        await asyncio.Event().wait()
        return {}

    task = asyncio.create_task(run(guard(chain(waits), LOOSE)))
    await started.wait()
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert asyncio.all_tasks() == before


async def test_what_is_kept_of_ended_runs_is_bounded() -> None:
    graph = guard(chain(says("a"), raises("bad", ValueError)), LOOSE)
    for _ in range(SCOPES_KEPT + 50):
        await run(graph)
    assert len(_scopes) <= SCOPES_KEPT


def test_one_graph_serves_several_event_loops_at_once() -> None:
    import threading

    graph = guard(chain(says("a"), fallback(hangs("bad"), says("plain"))), QUICK)
    outcomes: list[str] = []

    def work() -> None:
        outcomes.append(asyncio.run(run(graph))["run"].outcome)

    threads = [threading.Thread(target=work) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert outcomes == ["partial"] * 8


async def test_a_policy_of_its_own_gives_a_node_other_time() -> None:
    graph = guard(chain(fallback(hangs("bad"), says("plain"))), LOOSE, nodes={"bad": LOOSE.but(timeout=0.1)})
    began = time.monotonic()
    await run(graph)
    assert time.monotonic() - began < 2


def test_a_limit_that_is_not_positive_is_refused_by_name() -> None:
    with pytest.raises(ValueError, match="Policy\\(timeout=0\\)"):
        Policy(timeout=0)


async def test_side_by_side_branches_that_all_fail_still_meet() -> None:
    graph: Any = StateGraph(Log)
    graph.add_node("a", says("a"))
    graph.add_edge(START, "a")
    gather(graph, "a", [hangs("x"), raises("y", ValueError), swallows("z")], into=says("join"))
    graph.add_edge("join", END)
    result = await run(guard(graph, QUICK))
    assert result["log"] == ["a", "join"] and result["run"].outcome == "partial"
    assert {entry.what: entry.status for entry in result["run"].missing} == {
        "x": "timed out",
        "y": "failed",
        "z": "timed out",
    }


async def test_a_node_that_raises_generator_exit_loses_only_itself() -> None:
    result = await run(guard(chain(fallback(raises("bad", GeneratorExit), says("plain")), says("b")), LOOSE))
    assert result["log"] == ["plain", "b"] and "GeneratorExit" in result["run"].stop_reason


async def test_a_node_that_waits_for_a_person_whom_nothing_keeps_the_run_for_is_lost() -> None:
    async def asks(state: Log) -> Written:
        return {"log": [str(interrupt("well?"))]}

    result = await run(guard(chain(fallback(asks, says("plain")), says("b")), LOOSE))
    assert result["log"] == ["plain", "b"] and "__interrupt__" not in result
    assert result["run"].outcome == "partial" and "no checkpointer" in result["run"].stop_reason


@pytest.mark.parametrize("by", ["node", "default"])
async def test_a_time_out_of_langgraphs_own_is_kept_by_the_guard(by: str) -> None:
    drawing = chain(says("a"))
    drawing.add_node("bad", hangs("bad"), timeout=0.1 if by == "node" else None)
    drawing.add_node("last", closing(says("last")))
    drawing.edges.discard(("a", END))
    drawing.add_edge("a", "bad")
    drawing.add_edge("bad", "last")
    if by == "default":
        drawing.set_node_defaults(timeout=0.1)
    result = await run(guard(drawing, LOOSE))
    assert result["log"] == ["a", "last"] and "no answer within 0.1 s" in result["run"].stop_reason
