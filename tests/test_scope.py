"""A run can be told to stop from outside, and keeps what it has found."""

import asyncio
import threading
import time
from typing import Any

from kit import LOOSE, Log, Written, chain, hangs, named, says
from langgraph.checkpoint.memory import InMemorySaver
from langgraph.graph import END, START, StateGraph

from guards import closing, extend, fallback, gather, guard, request_stop
from guards.running.scope import REQUESTS_KEPT, _requests, forget_stop


def gathering(started: asyncio.Event) -> Any:
    async def slow(state: Log) -> Written:
        started.set()
        await asyncio.Event().wait()
        return {}

    graph: Any = StateGraph(Log)
    graph.add_node("a", says("a"))
    graph.add_edge(START, "a")
    gather(graph, "a", [says("found"), slow], into=closing(says("merge")))
    graph.add_node("write", fallback(hangs("write"), says("plain")))
    graph.add_edge("merge", "write")
    graph.add_edge("write", END)
    return guard(graph, LOOSE.but(seconds=60, timeout=60)).copy(update={"checkpointer": InMemorySaver()})


async def stopped(stop: Any) -> tuple[dict[str, Any], float]:
    started = asyncio.Event()
    graph = gathering(started)
    task = asyncio.create_task(graph.ainvoke({"log": []}, {"configurable": {"thread_id": "stop-me"}}))
    await started.wait()
    began = time.monotonic()
    stop()
    result = await task
    forget_stop("stop-me")
    return result, time.monotonic() - began


async def test_a_stop_ends_running_nodes_and_keeps_what_was_found() -> None:
    result, seconds = await stopped(lambda: request_stop("stop-me", "stopped by the user"))
    assert result["log"] == ["a", "found", "merge", "plain"]
    assert result["run"].outcome == "stopped" and result["run"].stop_reason == "stopped by the user"
    assert seconds < 2


async def test_a_stop_may_come_from_another_thread() -> None:
    def from_outside() -> None:
        thread = threading.Thread(target=request_stop, args=("stop-me", "stopped elsewhere"))
        thread.start()
        thread.join()

    result, seconds = await stopped(from_outside)
    assert result["run"].stop_reason == "stopped elsewhere" and seconds < 2


async def test_a_stop_before_the_first_node_passes_over_everything_that_does_not_close() -> None:
    request_stop("early", "changed my mind")
    graph = guard(chain(says("a"), closing(says("last"))), LOOSE).copy(update={"checkpointer": InMemorySaver()})
    result = await graph.ainvoke({"log": []}, {"configurable": {"thread_id": "early"}})
    forget_stop("early")
    assert result["log"] == ["last"] and result["run"].outcome == "stopped"


async def test_more_time_can_be_granted_to_a_run() -> None:
    async def slow(state: Log) -> Written:
        await asyncio.sleep(0.5)
        return {"log": ["slow"]}

    graph = guard(chain(named("slow", slow)), LOOSE.but(seconds=0.2)).copy(update={"checkpointer": InMemorySaver()})
    extend("patient", 5)
    assert (await graph.ainvoke({"log": []}, {"configurable": {"thread_id": "patient"}}))["log"] == ["slow"]


def test_forgotten_requests_do_not_pile_up() -> None:
    for number in range(REQUESTS_KEPT + 50):
        request_stop(f"gone-{number}", "x")
    assert len(_requests) == REQUESTS_KEPT
    _requests.clear()
