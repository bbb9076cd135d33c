"""A guarded graph streams, draws and nests as the bare one does."""

import asyncio
from typing import Any

from kit import LOOSE, Log, Written, chain, hangs, raises, says
from langchain_openai import ChatOpenAI
from langgraph.config import get_stream_writer
from langgraph.graph import END, START, StateGraph
from model_server import ModelServer

from guards import fallback, gather, guard, loop

POLICY = LOOSE.but(prices={"scripted": (1.0, 1.0)})


async def chunks(graph: Any, **options: Any) -> list[Any]:
    return [chunk async for chunk in graph.astream({"log": []}, **options)]


def drawing() -> StateGraph[Any, Any, Any, Any]:
    """Branches, a join and a loop."""
    graph: StateGraph[Any, Any, Any, Any] = StateGraph(Log)
    graph.add_node("a", says("a"))
    graph.add_node("check", says("check"))
    graph.add_edge(START, "a")
    gather(graph, "a", [says("x"), says("y")], into=says("join"))
    graph.add_edge("join", "check")
    loop(graph, "check", back_to="a", until=lambda state: len(state["log"]) > 5, then=END, at_most=3, progress=None)
    return graph


async def talks(state: Log) -> Written:
    """A node with a model of its author's own, who knows nothing of guards."""
    model = ChatOpenAI(model="scripted", max_retries=0, stream_usage=True)
    return {"log": [str((await model.ainvoke("Say something.")).content)]}


async def tells(state: Log) -> Written:
    """A node that tells of its progress."""
    writer = get_stream_writer()
    for number in range(3):
        writer({"event": "source", "count": number})
    return {"log": ["told"]}


async def test_updates_come_node_by_node_as_from_the_bare_graph() -> None:
    bare = await chunks(drawing().compile(), stream_mode="updates")
    guarded = await chunks(guard(drawing(), POLICY), stream_mode="updates")
    assert [_without_run(chunk) for chunk in guarded] == bare
    assert all("run" in update for chunk in guarded for update in chunk.values())


def _without_run(chunk: dict[str, Any]) -> dict[str, Any]:
    return {node: {key: value for key, value in update.items() if key != "run"} for node, update in chunk.items()}


async def test_an_update_is_seen_before_the_next_node_has_ended() -> None:
    gate = asyncio.Event()

    async def waits(state: Log) -> Written:
        await gate.wait()
        return {"log": ["waited"]}

    stream = guard(chain(says("a"), waits), POLICY).astream({"log": []}, stream_mode="updates")
    assert (await anext(stream))["a"]["log"] == ["a"]
    gate.set()
    assert (await anext(stream))["waits"]["log"] == ["waited"]


async def test_values_end_with_the_outcome() -> None:
    values = await chunks(guard(chain(says("a"), raises("b", ValueError)), POLICY), stream_mode="values")
    assert values[-1]["log"] == ["a"] and values[-1]["run"].outcome == "stopped"
    assert values[0]["run"].id == values[-1]["run"].id


async def test_a_fallbacks_update_streams_in_the_place_of_the_lost_nodes() -> None:
    seen = await chunks(guard(chain(fallback(raises("b", ValueError), says("plain"))), POLICY), stream_mode="updates")
    assert len(seen) == 1 and seen[0]["b"]["log"] == ["plain"]
    assert seen[0]["b"]["run"].missing[0].what == "b"


async def test_progress_events_of_a_node_come_through() -> None:
    seen = await chunks(guard(chain(tells), POLICY), stream_mode="custom")
    assert seen == [{"event": "source", "count": number} for number in range(3)]


async def test_tokens_of_an_ordinary_model_come_through_while_they_are_counted(server: ModelServer) -> None:
    server.reply("chat", "word " * 60)
    graph = guard(chain(talks), POLICY)
    seen = await chunks(graph, stream_mode=["messages", "values"])
    tokens = [part[0].content for mode, part in seen if mode == "messages"]
    assert len(tokens) > 3 and "".join(tokens) == "word " * 60
    assert {part[1]["langgraph_node"] for mode, part in seen if mode == "messages"} == {"talks"}
    record = seen[-1][1]["run"]
    assert (record.outcome, record.spent.calls) == ("complete", 1) and record.spent.output_tokens > 50


async def test_tokens_already_streamed_of_a_call_that_breaks_off_are_no_result(server: ModelServer) -> None:
    server.reply("chat", "word " * 60)
    server.fault("reset_midway")
    seen = await chunks(guard(chain(fallback(talks, says("plain"))), POLICY), stream_mode=["messages", "values"])
    assert seen[-1][1]["log"] == ["plain"] and seen[-1][1]["run"].outcome == "partial"
    assert seen[-1][1]["run"].spent.calls == 1


async def test_every_mode_at_once_and_events_come_through() -> None:
    modes = ["updates", "values", "custom", "messages", "tasks", "debug"]
    seen = {mode for mode, _ in await chunks(guard(chain(tells), POLICY), stream_mode=modes)}
    assert seen >= {"updates", "values", "custom", "tasks", "debug"}
    events = [event async for event in guard(chain(tells), POLICY).astream_events({"log": []}, version="v2")]
    assert [event["name"] for event in events if event["event"] == "on_chain_start"][:2] == ["graph", "tells"]


async def test_leaving_a_stream_early_leaves_no_task_behind() -> None:
    before = asyncio.all_tasks()
    stream = guard(chain(says("a"), hangs("b")), POLICY).astream({"log": []}, stream_mode="updates")
    assert "a" in await anext(stream)
    await stream.aclose()
    assert asyncio.all_tasks() == before


# -- drawn


def test_the_drawing_shows_the_authors_nodes_and_ways_and_nothing_of_the_guard() -> None:
    assert guard(drawing(), POLICY).get_graph().draw_mermaid() == drawing().compile().get_graph().draw_mermaid()


def nesting(inner: Any) -> StateGraph[Any, Any, Any, Any]:
    graph: StateGraph[Any, Any, Any, Any] = StateGraph(Log)
    graph.add_node("before", says("before"))
    graph.add_node("inner", inner)
    graph.add_edge(START, "before")
    graph.add_edge("before", "inner")
    graph.add_edge("inner", END)
    return graph


def test_a_guarded_subgraph_is_drawn_open() -> None:
    inside = guard(nesting(guard(drawing(), POLICY, name="inner")), POLICY).get_graph(xray=True).draw_mermaid()
    bare = nesting(drawing().compile(name="inner")).compile().get_graph(xray=True).draw_mermaid()
    assert inside == bare and "subgraph inner" in inside and "join" in inside


# -- nested


async def test_a_guarded_graph_works_inside_a_bare_one() -> None:
    inner = guard(chain(says("a"), raises("b", ValueError)), POLICY, name="inner")
    result = await nesting(inner).compile().ainvoke({"log": []})
    assert result["log"] == ["before", "before", "a"]


async def test_a_guarded_subgraph_streams_from_inside() -> None:
    inner = guard(chain(tells), POLICY, name="inner")
    seen = await chunks(guard(nesting(inner), POLICY), stream_mode=["updates", "custom"], subgraphs=True)
    inside = [(mode, part) for place, mode, part in seen if place]
    assert [part["count"] for mode, part in inside if mode == "custom"] == [0, 1, 2]
    assert [name for mode, part in inside if mode == "updates" for name in part] == ["tells"]
    assert {place[0].split(":")[0] for place, _, _ in seen if place} == {"inner"}


async def test_tokens_of_a_model_in_a_guarded_subgraph_stream_and_are_charged_to_both(server: ModelServer) -> None:
    server.reply("chat", "word " * 30)
    inner = guard(chain(talks), POLICY, name="inner")
    seen = await chunks(guard(nesting(inner), POLICY), stream_mode=["messages", "values"], subgraphs=True)
    assert "".join(part[0].content for _, mode, part in seen if mode == "messages") == "word " * 30
    last = [part for place, mode, part in seen if mode == "values" and not place][-1]
    assert last["run"].spent.calls == 1 and last["run"].outcome == "complete"
