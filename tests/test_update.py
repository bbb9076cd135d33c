"""What a node returns that is no update: its own failure, never the end of the graph."""

from dataclasses import dataclass
from typing import Any

import pytest
from kit import LOOSE, Log, Node, Written, chain, named, says
from langgraph.graph import END, START, MessagesState, StateGraph
from langgraph.types import Command, Overwrite, Send
from pydantic import BaseModel

from guards import closing, fallback, guard, loop


def returns(value: Any) -> Any:
    async def node(state: Log) -> Any:
        return value

    return named("bad", node)


NO_UPDATES = [
    42,
    "an apology",
    [1, 2],
    {"log": 3},
    {"log": None},
    {"run": "complete"},
    Command(update=42),
    Command(update={"log": 3}),
    Command(update=[("log", 3)]),
    Command(goto="nowhere"),
    Command(goto=[Send("nowhere", {})]),
    [Command(goto="nowhere")],
    [Command(update={"log": 3}), {"log": ["x"]}],
]


@pytest.mark.parametrize("value", NO_UPDATES, ids=str)
async def test_what_is_no_update_is_the_nodes_failure_and_takes_its_fallback(value: Any) -> None:
    result = await guard(chain(fallback(returns(value), says("plain")), says("b")), LOOSE).ainvoke({"log": []})
    assert result["log"] == ["plain", "b"]
    assert result["run"].outcome == "partial" and result["run"].missing[0].what == "bad"


@pytest.mark.parametrize("value", NO_UPDATES, ids=str)
async def test_a_fallback_that_returns_no_update_stops_the_run(value: Any) -> None:
    graph = guard(chain(fallback(returns(1), named("plain", returns(value)))), LOOSE)
    assert (await graph.ainvoke({"log": []}))["run"].outcome == "stopped"


@dataclass
class Data:
    log: list[str]


class Model(BaseModel):
    log: list[str]


UPDATES = [
    None,
    {"log": ["a"]},
    {"topic": "t"},
    {"log": Overwrite(["a"])},
    Command(update={"log": ["a"]}),
    Command(update=[("log", ["a"])]),
    [Command(update={"log": ["a"]}), {"topic": "t"}],
    Data(["a"]),
    Model(log=["a"]),
]


@pytest.mark.parametrize("value", UPDATES, ids=str)
async def test_every_form_of_an_update_that_langgraph_takes_passes(value: Any) -> None:
    bare = await chain(returns(value), says("b")).compile().ainvoke({"log": []})
    guarded = await guard(chain(returns(value), says("b")), LOOSE).ainvoke({"log": []})
    assert guarded.pop("run").outcome == "complete"
    assert guarded == bare


async def test_a_reducer_that_takes_more_than_its_declared_type_is_asked() -> None:
    async def node(state: MessagesState) -> Any:
        return {"messages": "one message, not a list"}

    graph: Any = StateGraph(MessagesState)
    graph.add_node(node)
    graph.add_edge(START, "node")
    result = await guard(graph, LOOSE).ainvoke({"messages": []})
    assert result["run"].outcome == "complete" and len(result["messages"]) == 1


def pick(name: str, key: str) -> Node:
    """A node whose key is chosen at run time, where no check sees it."""

    async def node(state: Log) -> Any:
        return dict([(key, name)])  # noqa: C406

    return named(name, node)


def side_by_side(*nodes: Node, join: str = "join") -> Any:
    graph: Any = StateGraph(Log)
    for node in nodes:
        graph.add_node(node.__name__, node)
        graph.add_edge(START, node.__name__)
    graph.add_node(join, closing(says(join)))
    graph.add_edge([node.__name__ for node in nodes], join)
    return graph


async def test_bare_a_second_value_for_a_key_without_reducer_loses_the_whole_run() -> None:
    with pytest.raises(Exception, match="INVALID_CONCURRENT_GRAPH_UPDATE"):
        await side_by_side(pick("a", "topic"), pick("b", "topic")).compile().ainvoke({"log": []})


async def test_a_second_value_for_a_key_without_reducer_is_the_second_nodes_loss() -> None:
    result = await guard(side_by_side(pick("a", "topic"), pick("b", "topic")), LOOSE).ainvoke({"log": []})
    assert result["topic"] == "a" and result["log"] == ["join"]
    assert result["run"].outcome == "stopped" and "'a' wrote 'topic' in the same step" in result["run"].stop_reason


async def test_a_fallback_may_write_what_the_node_could_not() -> None:
    second = fallback(pick("b", "topic"), says("plain"))
    result = await guard(side_by_side(pick("a", "topic"), second), LOOSE).ainvoke({"log": []})
    assert result["topic"] == "a" and result["log"] == ["plain", "join"] and result["run"].outcome == "partial"


async def test_one_node_after_the_other_writes_the_same_key_in_every_round() -> None:
    graph = chain(pick("a", "topic"), pick("b", "topic"))
    loop(graph, "b", back_to="a", until=lambda state: False, then=END, at_most=3, enough=True)
    graph.edges.discard(("b", END))
    result = await guard(graph, LOOSE).ainvoke({"log": []})
    assert result["topic"] == "b" and result["run"].outcome == "complete"


async def test_a_node_that_exits_the_process_loses_only_itself() -> None:
    async def exits(state: Log) -> Written:
        raise SystemExit(2)

    result = await guard(chain(fallback(exits, says("plain")), says("b")), LOOSE).ainvoke({"log": []})
    assert result["log"] == ["plain", "b"] and "SystemExit" in result["run"].stop_reason
