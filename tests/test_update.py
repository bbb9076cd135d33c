"""What a node returns that is no update: its own failure, never the end of the graph."""

from dataclasses import dataclass
from operator import add
from typing import Annotated, Any

import pytest
from kit import LOOSE, Log, Node, Written, chain, named, raises, says
from langgraph.graph import END, START, MessagesState, StateGraph
from langgraph.types import Command, Overwrite, Send
from pydantic import BaseModel

from guards import closing, fallback, guard, loop
from state.guarded import Guarded, Missing, Run, Spent


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
    loop(graph, "b", back_to="a", until=lambda state: False, then=END, at_most=3, enough=True, progress=None)
    graph.edges.discard(("b", END))
    result = await guard(graph, LOOSE).ainvoke({"log": []})
    assert result["topic"] == "b" and result["run"].outcome == "complete"


async def test_a_node_that_exits_the_process_loses_only_itself() -> None:
    async def exits(state: Log) -> Written:
        raise SystemExit(2)

    result = await guard(chain(fallback(exits, says("plain")), says("b")), LOOSE).ainvoke({"log": []})
    assert result["log"] == ["plain", "b"] and "SystemExit" in result["run"].stop_reason


async def test_a_command_goes_only_where_its_node_says() -> None:
    graph: Any = chain(fallback(returns(Command(goto="elsewhere")), says("plain")), says("b"))
    graph.add_node("elsewhere", says("elsewhere"))
    graph.add_conditional_edges("b", lambda state: END, ["elsewhere", END])
    graph.edges.discard(("b", END))
    result = await guard(graph, LOOSE).ainvoke({"log": []})
    assert result["log"] == ["plain", "b"] and "elsewhere" in result["run"].stop_reason


# -- the record of the run


class Own(Guarded, total=False):
    log: list[str]


async def recorded(node: Any) -> Any:
    graph: Any = StateGraph(Own)
    graph.add_node("a", node)
    graph.add_edge(START, "a")
    graph.add_edge("a", END)
    return (await guard(graph, LOOSE).ainvoke({"log": []}))["run"]


@pytest.mark.parametrize("form", [dict, lambda update: Command(update=update), lambda update: [Command(update=update)]])
async def test_a_node_adds_losses_to_the_record_and_nothing_else(form: Any) -> None:
    async def forges(state: Own) -> Any:
        lost = (Missing(what="page 7"),)
        return form({"run": Run(missing=lost, spent=Spent(calls=-9), rounds={"a": -9}, paused=1e9)})

    run = await recorded(forges)
    assert [entry.what for entry in run.missing] == ["page 7"]
    assert (run.spent.calls, run.rounds, run.paused) == (0, {}, 0.0)


async def test_a_node_that_returns_the_whole_state_does_not_count_the_run_twice() -> None:
    async def whole(state: Own) -> Any:
        return {**state, "log": ["a"]}

    run = await recorded(whole)
    assert run.outcome == "complete" and run.id


async def test_the_record_cannot_be_overwritten() -> None:
    async def wipes(state: Own) -> Any:
        return {"run": Overwrite(Run())}

    run = await recorded(wipes)
    assert run.id and run.outcome == "stopped" and "'run' is the guard's record" in run.stop_reason


# -- commands to the graph above


def parent(node: Any, *destinations: str) -> Any:
    """A graph whose sub-agent loses one node to its fallback and then leaves by a command."""
    inner = guard(chain(fallback(raises("lost", ValueError), says("plain")), node), LOOSE, name="inner")
    graph: Any = StateGraph(Log)
    graph.add_node("inner", inner, destinations=destinations)
    graph.add_node("b", closing(says("b")))
    graph.add_edge(START, "inner")
    graph.add_edge("b", END)
    return graph


def leaves_for(goto: str, update: Any) -> Any:
    async def leaves(state: Log) -> Any:
        return Command(graph=Command.PARENT, goto=goto, update=update)

    return leaves


@pytest.mark.parametrize("update", [None, {"log": ["up"]}, [("log", ["up"])]], ids=str)
async def test_what_a_sub_agent_missed_is_told_when_it_leaves_by_a_command(update: Any) -> None:
    result = await guard(parent(leaves_for("b", update), "b"), LOOSE).ainvoke({"log": []})
    assert result["log"] == (["up", "b"] if update else ["b"])
    assert [entry.what for entry in result["run"].missing] == ["inner/lost"]


async def test_a_command_to_a_node_that_the_graph_above_has_not_is_the_sub_agents_loss() -> None:
    result = await guard(parent(leaves_for("nowhere", None), "b"), LOOSE).ainvoke({"log": []})
    assert result["log"] == ["b"] and "nowhere" in result["run"].stop_reason


async def test_a_bare_graph_above_takes_the_command_too() -> None:
    result = await parent(leaves_for("b", {"log": ["up"]}), "b").compile().ainvoke({"log": []})
    assert result == {"log": ["up", "b"]}


async def test_a_command_to_a_graph_above_that_is_not_there_is_the_nodes_loss() -> None:
    result = await guard(chain(leaves_for("b", None)), LOOSE).ainvoke({"log": []})
    assert result["run"].outcome == "stopped" and "no such graph is around it" in result["run"].stop_reason


# -- a state that is validated when it is read


class Strict(BaseModel):
    pages: int = 0
    log: Annotated[list[str], add] = []


@pytest.mark.parametrize("update", [{"pages": "many"}, {"log": [3]}, {"pages": Overwrite("many")}], ids=str)
async def test_a_value_that_a_pydantic_state_cannot_hold_is_the_loss_of_the_node_that_returned_it(update: Any) -> None:
    async def bad(state: Strict) -> Any:
        return update

    async def plain(state: Strict) -> Any:
        return {"log": ["plain"], "pages": "7"}

    async def reads(state: Strict) -> Any:
        return {"log": [f"read {state.pages}"]}

    graph: Any = StateGraph(Strict)
    graph.add_node("bad", fallback(bad, plain))
    graph.add_node("reads", reads)
    graph.add_edge(START, "bad")
    graph.add_conditional_edges("bad", lambda state: "reads", ["reads"])
    graph.add_edge("reads", END)
    result = await guard(graph, LOOSE).ainvoke({"log": []})
    assert result["log"] == ["plain", "read 7"]
    assert result["run"].outcome == "partial" and "which Strict cannot hold" in result["run"].stop_reason
