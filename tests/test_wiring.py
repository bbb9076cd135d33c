"""The adapter to LangGraph's machinery: when one fails after an upgrade, look at `guards/running/wiring.py`."""

import asyncio
from typing import Any
from uuid import UUID

import pytest
from kit import LOOSE, Log, Written, chain, named, raises, says
from langchain_core.callbacks import AsyncCallbackHandler
from langchain_core.runnables import RunnableConfig, RunnableLambda
from langgraph.config import get_config, get_stream_writer
from langgraph.graph import END, START, StateGraph
from langgraph.runtime import Runtime
from pydantic import BaseModel

from guards import guard
from guards.running.attempt import current_attempt
from guards.running.wiring import GuardedSteps
from state.message import Message, current_trace


class Seen(AsyncCallbackHandler):
    """Names of the chains that began and ended."""

    def __init__(self) -> None:
        self.names: dict[UUID, str] = {}
        self.ended: list[str] = []
        self.failed: list[str] = []

    async def on_chain_start(self, serialized: Any, inputs: Any, *, run_id: UUID, **kwargs: Any) -> None:
        self.names[run_id] = kwargs.get("name") or ""

    async def on_chain_end(self, outputs: Any, *, run_id: UUID, **kwargs: Any) -> None:
        self.ended.append(self.names[run_id])

    async def on_chain_error(self, error: BaseException, *, run_id: UUID, **kwargs: Any) -> None:
        self.failed.append(self.names[run_id])


async def test_every_compiled_node_runs_under_its_guard() -> None:
    graph = guard(chain(says("a"), says("b")), LOOSE)
    assert all(isinstance(graph.nodes[name].node, GuardedSteps) for name in ("a", "b"))
    assert all(isinstance(graph.copy().nodes[name].node, GuardedSteps) for name in ("a", "b"))


async def test_a_guarded_node_has_as_many_tasks_as_a_bare_one() -> None:
    counts: list[int] = []

    async def node(state: Log) -> Written:
        counts.append(len(asyncio.all_tasks()))
        return {}

    for graph in (chain(node).compile(), guard(chain(node), LOOSE)):
        await graph.ainvoke({"log": []})
    assert counts[0] == counts[1]


async def test_callbacks_see_a_guarded_node_begin_and_end_as_they_see_a_bare_one() -> None:
    seen = [Seen(), Seen()]
    graphs = chain(says("a")).compile(name="g"), guard(chain(says("a")), LOOSE, name="g")
    for graph, handler in zip(graphs, seen, strict=True):
        await graph.ainvoke({"log": []}, {"callbacks": [handler]})
    assert seen[0].ended == seen[1].ended and seen[1].failed == []


@pytest.mark.parametrize("compiled", [lambda drawing: drawing.compile(), lambda drawing: guard(drawing, LOOSE)])
async def test_a_handler_that_a_node_brings_along_hears_what_it_hears_in_a_bare_node(compiled: Any) -> None:
    handler = Seen()

    async def node(state: Log, config: RunnableConfig) -> Written:
        await RunnableLambda(_echo).ainvoke("a", config | {"callbacks": [handler]})
        return {}

    await compiled(chain(node)).ainvoke({"log": []})
    assert handler.ended == ["_echo"]


async def _echo(text: str) -> str:
    return text


async def test_a_cancelled_node_is_reported_as_failed_to_callbacks() -> None:
    started, handler = asyncio.Event(), Seen()

    async def node(state: Log) -> Written:
        started.set()
        await asyncio.Event().wait()
        return {}

    task = asyncio.create_task(guard(chain(node), LOOSE).ainvoke({"log": []}, {"callbacks": [handler]}))
    await started.wait()
    task.cancel()
    await asyncio.wait([task])
    assert "node" in handler.failed


class Context(BaseModel):
    """The run's context of these tests."""

    colour: str = ""


async def test_a_guarded_node_sees_its_config_its_runtime_and_its_trace() -> None:
    seen: dict[str, Any] = {}

    async def node(state: Log, config: RunnableConfig, runtime: Runtime[Context]) -> Written:
        get_stream_writer()({"event": "here"})
        seen.update(own=config["configurable"]["colour"], same=get_config()["configurable"]["colour"])
        seen.update(context=runtime.context.colour, trace=Message().trace_id, attempt=current_attempt.get())
        return {"log": ["node"]}

    drawing: Any = StateGraph(Log, context_schema=Context)
    drawing.add_node("node", node)
    drawing.add_edge(START, "node")
    graph = guard(drawing, LOOSE)
    events = [
        chunk
        async for chunk in graph.astream(
            {"log": []}, {"configurable": {"colour": "red"}}, context=Context(colour="blue"), stream_mode="custom"
        )
    ]
    assert events == [{"event": "here"}]
    assert (seen["own"], seen["same"], seen["context"]) == ("red", "red", "blue")
    assert seen["trace"] == seen["attempt"].scope.run.trace_id != ""
    assert current_attempt.get() is None and current_trace.get() == ""


async def test_updates_show_the_nodes_own_keys_and_the_record() -> None:
    graph = guard(chain(says("a"), raises("bad", ValueError)), LOOSE)
    updates = [chunk async for chunk in graph.astream({"log": []}, stream_mode="updates")]
    assert [list(update) for update in updates] == [["a"], ["bad"]]
    assert updates[0]["a"]["log"] == ["a"] and updates[1]["bad"]["run"].stop


async def test_a_guarded_sub_agent_stays_visible_in_drawings_and_streams() -> None:
    drawing: Any = StateGraph(Log)
    drawing.add_node("sub", guard(chain(named("inner", says("x"))), LOOSE, name="inner"))
    drawing.add_edge(START, "sub")
    drawing.add_edge("sub", END)
    graph = guard(drawing, LOOSE)
    assert "inner" in graph.get_graph(xray=True).draw_mermaid()
    spaces = [space async for space, _ in graph.astream({"log": []}, stream_mode="updates", subgraphs=True)]
    assert any(space and space[0].startswith("sub:") for space in spaces)


async def test_a_guarded_graph_is_drawn_like_the_bare_one() -> None:
    drawing = chain(says("a"), says("b"))
    assert guard(drawing, LOOSE).get_graph().draw_mermaid() == drawing.compile().get_graph().draw_mermaid()
