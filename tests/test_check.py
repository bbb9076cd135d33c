"""Every rule finds its hole, names node and cure, and lets the cured drawing pass."""

import asyncio
import functools
import json
import subprocess
import time
from operator import add
from typing import Annotated, Any, Literal

import pytest
import requests
from kit import LOOSE, Log, Written, chain, named, says
from langchain_core.runnables import RunnableLambda
from langgraph.checkpoint.memory import InMemorySaver
from langgraph.graph import END, START, StateGraph
from langgraph.types import CachePolicy, Command, RetryPolicy, Send
from typing_extensions import TypedDict

from guards import Policy, closing, fallback, gather, guard, loop
from guards.checks.check import check, holes
from guards.checks.hole import Hole
from guards.clean import INPUT, OUTPUT, clean
from guards.errors import Unsafe

CLEAN = Policy()


class Notes(TypedDict, total=False):
    note: str
    log: Annotated[list[str], add]


def graph(*nodes: Any, edges: str = "", state: Any = Log) -> Any:
    """Nodes, and edges written as "START-a a-b"."""
    drawing: Any = StateGraph(state)
    for node in nodes:
        drawing.add_node(node.__name__, node)
    ends = {"START": START, "END": END}
    for edge in edges.split():
        source, _, target = edge.partition("-")
        drawing.add_edge(ends.get(source, source), ends.get(target, target))
    return drawing


def found(drawing: Any, rule: str, policy: Policy = LOOSE) -> list[Hole]:
    """The holes of one rule; every one says in one line what to write."""
    some = [hole for hole in holes(drawing, policy) if hole.rule == rule]
    assert all(hole.node and hole.problem and hole.cure and "\n" not in str(hole) for hole in some)
    return some


def only(drawing: Any, rule: str, policy: Policy = LOOSE) -> Hole:
    """The one hole of a drawing."""
    all_of_them = holes(drawing, policy)
    assert [hole.rule for hole in all_of_them] == [rule], all_of_them
    return all_of_them[0]


class Note(TypedDict):
    note: str


def notes(name: str) -> Any:
    """A node that writes a key without a reducer."""

    async def node(state: Notes) -> Notes:
        return {"note": name}

    return named(name, node)


# -- cycles


def again(state: Log) -> Literal["a", "__end__"]:
    return "a" if len(state["log"]) < 100 else "__end__"


def test_a_cycle_without_a_bound_is_found_and_a_loop_cures_it() -> None:
    drawing = graph(says("a"), says("b"), edges="START-a a-b")
    drawing.add_conditional_edges("b", again)
    hole = only(drawing, "unbounded-cycle")
    assert hole.node == "a -> b -> a"
    assert 'loop(graph, "b", back_to="a"' in hole.cure and "then=END" in hole.cure
    cured = graph(says("a"), says("b"), edges="START-a a-b")
    loop(cured, "b", back_to="a", until=bool, then=END)
    assert holes(cured, LOOSE) == []


def test_cycles_of_static_edges_and_of_commands_and_of_one_node_are_cycles_too() -> None:
    assert only(graph(says("a"), says("b"), edges="START-a a-b b-a"), "unbounded-cycle").node == "a -> b -> a"
    assert only(graph(says("a"), edges="START-a a-a"), "unbounded-cycle").node == "a -> a"

    async def boss(state: Log) -> Command[Literal["worker", "__end__"]]:
        return Command(goto="worker")

    assert only(graph(boss, says("worker"), edges="START-boss worker-boss"), "unbounded-cycle").node == (
        "boss -> worker -> boss"
    )


def test_each_cycle_that_needs_a_bound_of_its_own_is_told_in_one_go() -> None:
    drawing = graph(*map(says, "abcd"), edges="START-a a-b b-c c-b c-d d-a d-END")
    assert [hole.node for hole in found(drawing, "unbounded-cycle")] == ["a -> b -> c -> d -> a", "b -> c -> b"]


def test_a_loop_bounds_no_cycle_that_goes_round_it() -> None:
    drawing = graph(*map(says, "abc"), edges="START-a a-b c-a")
    loop(drawing, "b", back_to="a", until=bool, then="c")
    assert only(drawing, "unbounded-cycle").node == "a -> b -> c -> a"


def test_an_edge_beside_a_loops_way_back_is_not_bounded_by_it() -> None:
    drawing = graph(says("a"), says("b"), edges="START-a a-b b-a")
    loop(drawing, "b", back_to="a", until=bool, then=END)
    assert {hole.rule for hole in holes(drawing, LOOSE)} == {"unbounded-cycle", "void-condition"}


# -- barriers


def choose(state: Log) -> Literal["a", "b"]:
    return "a"


def test_a_barrier_behind_a_condition_starves_and_gather_cures_it() -> None:
    drawing = graph(says("s"), says("a"), says("b"), says("join"), edges="START-s")
    drawing.add_conditional_edges("s", choose)
    drawing.add_edge(["a", "b"], "join")
    starving = found(drawing, "starving-join")
    assert [hole.node for hole in starving] == ["a -> join", "b -> join"]
    assert "router" in starving[0].problem and "gather" in starving[0].cure
    cured = graph(says("s"), edges="START-s")
    gather(cured, "s", [says("a"), says("b")], into=says("join"))
    assert holes(cured, LOOSE) == []


async def test_bare_the_starving_barrier_reports_success_without_its_join() -> None:
    drawing = graph(says("s"), says("a"), says("b"), says("join"), edges="START-s")
    drawing.add_conditional_edges("s", choose)
    drawing.add_edge(["a", "b"], "join")
    assert (await drawing.compile().ainvoke({"log": []}))["log"] == ["s", "a"]


def test_two_forks_that_each_start_all_branches_feed_one_barrier() -> None:
    drawing = graph(says("plan"), says("more"), edges="START-plan")
    gather(drawing, ["plan", "more"], [says("a"), says("b")], into=says("join"))
    loop(drawing, "join", back_to="more", until=bool, then=END)
    assert holes(drawing, LOOSE) == []


def test_a_fork_that_starts_only_some_branches_starves_the_barrier() -> None:
    drawing = graph(says("plan"), says("more"), edges="START-plan more-a")
    drawing.add_node("a", says("a"))
    gather(drawing, "plan", ["a", says("b")], into=says("join"))
    loop(drawing, "join", back_to="more", until=bool, then=END)
    assert [hole.node for hole in found(drawing, "starving-join")] == ["a -> join"]


def test_branches_of_unequal_length_and_joins_of_joins_are_sound() -> None:
    drawing = graph(*map(says, "sabcdj"), says("j2"), edges="START-s s-a s-b b-c s-d")
    drawing.add_edge(["a", "c"], "j")
    drawing.add_edge(["j", "d"], "j2")
    assert holes(drawing, LOOSE) == []


def test_a_bounded_loop_inside_a_branch_still_reaches_the_barrier() -> None:
    drawing = graph(*map(says, "sabcj"), edges="START-s s-a s-c")
    loop(drawing, "a", back_to="a", until=bool, then="b")
    drawing.add_edge(["b", "c"], "j")
    assert holes(drawing, LOOSE) == []
    drawing.add_edge(["a", "c"], "j")
    assert [hole.node for hole in found(drawing, "starving-join")] == ["a -> j"]


def test_a_command_and_an_error_handler_before_a_barrier_starve_it() -> None:
    async def picks(state: Log) -> Command[Literal["a"]]:
        return Command(goto="a")

    drawing = graph(says("s"), picks, says("a"), says("j"), edges="START-s s-picks")
    drawing.add_node("b", says("b"), error_handler=says("handled"))
    drawing.add_edge("s", "b")
    drawing.add_edge(["a", "b"], "j")
    starving = {hole.node: hole.problem for hole in found(drawing, "starving-join")}
    assert "Command" in starving["a -> j"] and "error handler" in starving["b -> j"]
    assert "fallback(b" in found(drawing, "error-handler")[0].cure


def test_a_default_error_handler_is_an_error_handler_of_every_node() -> None:
    drawing = graph(says("a"), edges="START-a").set_node_defaults(error_handler=says("handled"))
    assert only(drawing, "error-handler").node == "a"


# -- nodes


def sync(state: Log) -> Written:
    return {"log": ["sync"]}


async def plain(state: Log) -> Written:
    return {"log": ["plain"]}


class Callable:
    __name__ = "callable"

    async def __call__(self, state: Log) -> Written:
        return {"log": []}


@pytest.mark.parametrize(
    "node",
    [
        sync,
        functools.partial(sync),
        RunnableLambda(sync),
        RunnableLambda(plain) | RunnableLambda(sync),
        lambda state: plain(state),
        fallback(sync, plain),
        closing(closing(sync)),
        fallback(plain, sync),
    ],
)
def test_a_node_that_is_not_async_is_found(node: Any) -> None:
    drawing: Any = StateGraph(Log)
    drawing.add_node("slow", node)
    drawing.add_edge(START, "slow")
    hole = only(drawing, "not-async")
    assert hole.node == "slow" and "async def" in hole.cure and "to_thread" in hole.cure


@pytest.mark.parametrize(
    "node",
    [
        plain,
        functools.partial(plain),
        RunnableLambda(plain),
        RunnableLambda(sync, afunc=plain),
        RunnableLambda(plain) | RunnableLambda(plain),
        Callable(),
        Callable().__call__,
        closing(fallback(plain, plain)),
        guard(chain(plain), LOOSE),
    ],
)
def test_everything_that_awaits_is_async(node: Any) -> None:
    drawing: Any = StateGraph(Log)
    drawing.add_node("quick", node)
    drawing.add_edge(START, "quick")
    assert holes(drawing, LOOSE) == []


def test_a_decorator_that_makes_a_sync_function_async_is_async() -> None:
    @functools.wraps(sync)
    async def threaded(state: Log) -> Written:
        return await asyncio.to_thread(sync, state)

    assert holes(graph(closing(threaded), edges="START-sync"), LOOSE) == []


def test_calls_that_block_the_loop_are_found_in_async_nodes() -> None:
    model = RunnableLambda(sync)

    async def blocks(state: Log) -> Written:
        time.sleep(1)  # noqa: ASYNC251
        requests.get("http://localhost", timeout=1)  # noqa: ASYNC210
        subprocess.run(["true"], check=True)  # noqa: ASYNC221
        model.invoke({"log": []})
        return {"log": []}

    async def awaits(state: Log) -> Written:
        def work() -> None:
            time.sleep(1)

        await asyncio.to_thread(work)
        await asyncio.to_thread(time.sleep, 1)
        await model.ainvoke({"log": []})
        return {"log": []}

    told = " ".join(hole.problem for hole in found(chain(blocks), "not-async"))
    assert all(name in told for name in ("time.sleep()", "requests.get()", "subprocess.run()", "model.invoke()"))
    assert holes(chain(awaits), LOOSE) == []


def test_a_node_without_a_time_out_is_found() -> None:
    endless = LOOSE.but(timeout=None)
    hole = only(chain(says("a")), "no-time-out", endless)
    assert hole.node == "a" and "timeout=30" in hole.cure
    assert holes(chain(says("a")), LOOSE) == []
    assert holes(chain(says("a")), endless, {"a": LOOSE}) == []
    drawing: Any = StateGraph(Log)
    drawing.add_node("a", says("a"), timeout=5)
    drawing.add_edge(START, "a")
    assert holes(drawing, endless) == []


def test_a_subgraph_that_is_not_guarded_is_found_as_a_node_and_inside_one() -> None:
    inner = chain(says("x")).compile()

    async def calls(state: Log) -> Written:
        await inner.ainvoke(state)
        return {"log": []}

    drawing = graph(calls, edges="START-calls calls-sub")
    drawing.add_node("sub", inner)
    unguarded = found(drawing, "unguarded-subgraph")
    assert [hole.node for hole in unguarded] == ["calls", "sub"] and "guard(inner_builder" in unguarded[0].cure
    inner = guard(chain(says("x")), LOOSE)
    cured = graph(calls, edges="START-calls calls-sub")
    cured.add_node("sub", inner)
    assert holes(cured, LOOSE) == []


def test_a_fan_out_without_a_cap_is_found_and_gather_cures_it() -> None:
    def each(state: Log) -> list[Send]:
        return [Send("w", {"topic": topic}) for topic in state["log"]]

    drawing = graph(says("s"), says("w"), says("j"), edges="START-s w-j")
    drawing.add_conditional_edges("s", each, ["w"])
    hole = only(drawing, "uncapped-fan-out")
    assert hole.node == "s" and "at_most=N" in hole.cure
    assert holes(drawing, LOOSE.but(fan_out=10)) == []
    cured = graph(says("s"), edges="START-s")
    gather(cured, "s", says("w"), into=says("j"), over=lambda state: state["log"], at_most=10)
    assert holes(cured, LOOSE) == []


def sends_for_them(state: Log) -> list[Send]:
    return [Send("w", {}) for _ in state["log"]]


def test_a_fan_out_hidden_in_a_helper_a_lambda_or_a_command_is_found() -> None:
    async def commands(state: Log) -> Command[Literal["w"]]:
        return Command(goto=[Send("w", {"topic": topic}) for topic in state["log"]])

    assert only(graph(commands, says("w"), edges="START-commands"), "uncapped-fan-out").node == "commands"
    for router in (lambda state: sends_for_them(state), lambda state: [Send("w", {})]):
        drawing = graph(says("s"), says("w"), edges="START-s")
        drawing.add_conditional_edges("s", router, ["w"])
        assert only(drawing, "uncapped-fan-out").node == "s"


def test_retries_on_a_second_floor_are_found() -> None:
    drawing: Any = StateGraph(Log)
    drawing.add_node("a", says("a"), retry_policy=RetryPolicy())
    drawing.add_edge(START, "a")
    hole = only(drawing, "own-retry")
    assert hole.node == "a" and "Policy(attempts=N)" in hole.cure


def test_a_cache_that_would_bring_another_runs_record_back_is_found() -> None:
    drawing: Any = StateGraph(Log)
    drawing.add_node("a", says("a"), cache_policy=CachePolicy())
    drawing.add_edge(START, "a")
    assert "take out cache_policy" in only(drawing, "own-cache").cure


def test_a_nodes_own_policy_is_checked_too() -> None:
    with pytest.raises(Unsafe, match="no-time-out"):
        guard(chain(says("a")), LOOSE, nodes={"a": LOOSE.but(timeout=None)})


# -- routes


def test_a_router_that_does_not_say_where_it_goes_is_found_with_what_it_names() -> None:
    def route(state: Log):  # type: ignore[no-untyped-def]
        return "b" if state["log"] else END

    drawing = graph(says("a"), says("b"), edges="START-a")
    drawing.add_conditional_edges("a", route)
    hole = only(drawing, "undeclared-route")
    assert hole.node == "a" and '["b"' in hole.cure.replace("END, ", "") and "END" in hole.cure
    drawing = graph(says("a"), says("b"), edges="START-a")
    drawing.add_conditional_edges("a", route, ["b", END])
    assert holes(drawing, LOOSE) == []


def test_a_command_that_does_not_say_where_it_goes_is_found() -> None:
    async def a(state: Log) -> Any:
        return Command(goto="b", update={"log": ["a"]})

    drawing = graph(a, says("b"), edges="START-a START-b")
    hole = only(drawing, "undeclared-route")
    assert hole.node == "a" and 'Literal["b"]' in hole.cure
    drawing = graph(says("b"))
    drawing.add_node("a", a, destinations=("b",))
    drawing.add_edge(START, "a")
    assert holes(drawing, LOOSE) == []


def test_a_command_without_a_way_or_for_the_caller_is_no_route() -> None:
    nowhere = ""

    async def updates(state: Log) -> Any:
        return Command(update={"log": []})

    async def parent(state: Log) -> Any:
        return Command(goto="x", graph=Command.PARENT)

    async def empty(state: Log) -> Any:
        return Command(goto=nowhere)

    assert holes(chain(updates, parent, empty), LOOSE) == []


def test_targets_that_do_not_exist_are_found_wherever_they_are_named() -> None:
    async def goes(state: Log) -> Command[Literal["plann"]]:
        return Command(goto="plann")

    def route(state: Log) -> Literal["nowhere", "plan"]:
        return "plan"

    drawing = graph(goes, says("plan"), edges="START-goes plan-ghost lost-plan")
    drawing.add_conditional_edges("plan", route)
    unknown = {hole.node: hole.cure for hole in found(drawing, "unknown-target")}
    assert set(unknown) == {"goes -> plann", "lost -> plan", "plan -> ghost", "plan -> nowhere"}
    assert "did you mean 'plan'?" in unknown["goes -> plann"]


async def test_a_command_beyond_the_declared_targets_is_found() -> None:
    async def goes(state: Log) -> Any:
        return Command(goto="c")

    drawing = graph(says("b"), says("c"), edges="b-c")
    drawing.add_node("goes", goes, destinations=("b",))
    drawing.add_edge(START, "goes")
    hole = only(drawing, "unknown-target")
    assert hole.node == "goes -> c" and 'add "c" to the destinations of "goes"' in hole.cure


def test_an_edge_that_makes_a_condition_void_is_found() -> None:
    drawing = graph(says("s"), says("a"), says("b"), edges="START-s s-a")
    drawing.add_conditional_edges("s", choose)
    assert only(drawing, "void-condition").node == "s -> a"


def test_a_node_that_nothing_leads_to_and_a_drawing_without_a_start_are_found() -> None:
    assert only(graph(says("a"), says("b"), edges="START-a"), "unreachable").node == "b"
    assert only(graph(says("a"), edges="a-END"), "no-start").cure.startswith("add_edge(START")


async def test_single_edges_after_unequal_ways_run_a_node_twice_and_a_barrier_cures_it() -> None:
    drawing = graph(*map(says, "sabcj"), edges="START-s s-a s-b b-c a-j c-j j-END")
    assert only(drawing, "runs-twice").node == "j"
    assert (await drawing.compile().ainvoke({"log": []}))["log"].count("j") == 2
    cured = graph(*map(says, "sabcj"), edges="START-s s-a s-b b-c j-END")
    cured.add_edge(["a", "c"], "j")
    assert holes(cured, LOOSE) == []
    deferred = graph(*map(says, "sabc"), edges="START-s s-a s-b b-c a-j c-j")
    deferred.add_node("j", says("j"), defer=True)
    assert holes(deferred, LOOSE) == []


# -- cleaning


def test_a_way_to_an_agent_past_no_input_cleaning_is_found_with_the_way() -> None:
    cleaner, washer = clean(INPUT, "topic"), clean(OUTPUT, "log")
    drawing = graph(cleaner, says("a"), says("b"), washer, edges="START-clean_input clean_input-a a-b b-clean_output")
    assert holes(drawing, CLEAN) == []
    drawing = graph(cleaner, says("a"), says("b"), washer, edges="clean_input-a a-b b-clean_output")
    drawing.add_conditional_edges(START, lambda state: "b", ["b", "clean_input"])
    hole = only(drawing, "uncleaned-input", CLEAN)
    assert hole.node == "b" and "START -> b" in hole.problem and "clean(INPUT" in hole.cure
    assert holes(drawing, CLEAN.but(clean_input=False)) == []


def test_a_way_to_the_end_past_no_output_cleaning_is_found_dead_ends_included() -> None:
    cleaner, washer = clean(INPUT, "topic"), clean(OUTPUT, "log")
    edges = "START-clean_input clean_input-a clean_input-b a-clean_output clean_output-END"
    drawing = graph(cleaner, says("a"), says("b"), washer, edges=edges)
    hole = only(drawing, "uncleaned-output", CLEAN)
    assert hole.node == "b" and "b -> END" in hole.problem and "clean(OUTPUT" in hole.cure
    assert holes(drawing, CLEAN.but(clean_output=False)) == []
    drawing.add_edge("b", "clean_output")
    assert holes(drawing, CLEAN) == []


def test_cleaning_the_wrong_side_is_no_cleaning() -> None:
    drawing = graph(clean(OUTPUT, "log"), says("a"), edges="START-clean_output clean_output-a")
    assert {(hole.rule, hole.node) for hole in holes(drawing, CLEAN)} == {
        ("uncleaned-input", "a"),
        ("uncleaned-output", "a"),
    }


# -- state


def test_parallel_writes_to_a_key_without_reducer_are_found_and_a_reducer_cures_them() -> None:
    drawing = graph(says("s"), notes("a"), notes("b"), edges="START-s s-a s-b", state=Notes)
    hole = only(drawing, "parallel-writes")
    assert hole.node == "a, b" and "note: Annotated[" in hole.cure
    cured = graph(says("s"), says("a"), says("b"), edges="START-s s-a s-b", state=Notes)
    assert holes(cured, LOOSE) == []


async def test_bare_the_same_parallel_writes_lose_the_whole_run() -> None:
    drawing = graph(says("s"), notes("a"), notes("b"), edges="START-s s-a s-b", state=Notes)
    with pytest.raises(Exception, match="INVALID_CONCURRENT_GRAPH_UPDATE"):
        await drawing.compile().ainvoke({"log": []})


def test_nodes_that_run_one_after_the_other_may_write_the_same_key() -> None:
    drawing = graph(*(notes(name) for name in "abcj"), says("s"), edges="START-s s-a b-c", state=Notes)
    loop(drawing, "a", back_to="a", until=bool, then="b")
    drawing.add_conditional_edges("c", lambda state: "j", ["j", END])
    assert holes(drawing, LOOSE) == []


def test_a_join_never_meets_what_its_barrier_waits_for() -> None:
    drawing = graph(*(notes(name) for name in "bcj"), says("s"), says("a"), edges="START-s s-a s-b b-c", state=Notes)
    drawing.add_edge(["a", "c"], "j")
    assert holes(drawing, LOOSE) == []


def test_writes_are_read_from_dicts_commands_annotations_fallbacks_and_subgraphs() -> None:
    async def by_command(state: Notes) -> Any:
        return Command(update={"note": "x"})

    async def by_annotation(state: Log) -> Note:
        return await says("x")(state)

    async def by_call(state: Notes) -> Any:
        return Notes(note="x")

    sub = guard(graph(notes("x"), edges="START-x", state=Notes), LOOSE)
    backup = named("backup", fallback(says("backup"), notes("plain")))
    for node in (by_command, by_annotation, by_call, backup, sub):
        drawing: Any = StateGraph(Notes)
        drawing.add_node("one", node)
        drawing.add_node("other", notes("other"))
        drawing.add_edge(START, "one")
        drawing.add_edge(START, "other")
        hole = only(drawing, "parallel-writes")
        assert hole.node == "one, other" and "'note'" in hole.problem


KEY = "note"


def test_writes_are_read_from_local_variables_and_from_keys_that_are_names() -> None:
    key = "note"

    async def by_closure(state: Notes) -> Any:
        return {key: "x"}

    async def by_global(state: Notes) -> Any:
        return {KEY: "x"}

    async def by_item(state: Notes) -> Any:
        update: dict[str, Any] = {}
        update["note"] = "x"
        return update

    async def by_variable(state: Notes) -> Any:
        update = {"note": "x"}
        return update  # noqa: RET504

    async def by_update(state: Notes) -> Any:
        update: dict[str, Any] = {}
        update.update(note="x")
        update.update({"log": []})
        return update

    for node in (by_closure, by_global, by_item, by_variable, by_update):
        drawing = graph(node, notes("other"), edges=f"START-{node.__name__} START-other", state=Notes)
        assert "'note'" in only(drawing, "parallel-writes").problem


def test_a_worker_that_is_sent_to_several_times_meets_itself() -> None:
    drawing = graph(says("s"), edges="START-s", state=Notes)
    gather(drawing, "s", notes("w"), into=says("j"), over=lambda state: state["log"], at_most=3)
    assert only(drawing, "parallel-writes").problem == "several runs of w write 'note', which has no reducer"


def test_state_that_does_not_survive_a_checkpoint_is_found_with_its_path() -> None:
    class Bad(TypedDict, total=False):
        log: Annotated[list[str], add]
        pair: tuple[int, int]

    hole = only(graph(says("a"), edges="START-a", state=Bad), "not-serializable")
    assert hole.node == "Bad.pair: tuple" and "list" in hole.cure


def test_a_state_without_keys_and_a_state_that_takes_the_guards_key_are_found() -> None:
    class Taken(TypedDict, total=False):
        run: str

    async def node(state: Any) -> Any:
        return None

    assert only(graph(node, edges="START-node", state=Annotated[list, add]), "keyless-state")
    assert only(graph(node, edges="START-node", state=Taken), "taken-key").node == "run"


# -- all together


def test_guard_refuses_with_every_hole_at_once_in_a_stable_order() -> None:
    def build() -> Any:
        drawing = graph(sync, says("b"), edges="START-sync sync-b b-sync b-ghost")
        drawing.add_conditional_edges("b", lambda state: "sync")
        return drawing

    with pytest.raises(Unsafe) as refused:
        guard(build(), CLEAN)
    rules = [hole.rule for hole in refused.value.holes]
    assert rules == sorted(rules) and set(rules) >= {
        "not-async",
        "unbounded-cycle",
        "uncleaned-input",
        "undeclared-route",
        "unknown-target",
    }
    assert list(refused.value.holes) == holes(build(), CLEAN)
    assert all(str(hole) in str(refused.value) for hole in refused.value.holes)


def test_a_hole_is_plain_data_for_json() -> None:
    hole = Hole("no-time-out", "a", "'a' has no time-out", "say Policy(timeout=30)", "research")
    assert Hole(**json.loads(json.dumps(hole.as_dict()))) == hole


def test_a_guarded_graph_is_checked_under_its_own_policy() -> None:
    assert check(guard(chain(says("a")), LOOSE)) == []
    assert {hole.rule for hole in check(chain(says("a")))} == {"uncleaned-input", "uncleaned-output"}


def test_a_foreign_compiled_graph_is_not_guarded_once_and_its_drawing_is_checked() -> None:
    rules = [hole.rule for hole in check(chain(says("a"), sync).compile())]
    assert rules.count("not-guarded") == 1 and "not-async" in rules


def test_what_only_a_compiled_graph_can_have_wrong_is_found() -> None:
    compiled = guard(chain(says("a")), LOOSE).copy(update={"checkpointer": InMemorySaver()})
    assert [hole.rule for hole in check(compiled)] == ["own-checkpointer"]
    limited = guard(chain(says("a")), LOOSE).with_config(max_concurrency=2)
    assert [hole.rule for hole in check(limited)] == ["max-concurrency"]


def test_something_that_is_no_graph_is_one_clear_hole() -> None:
    (hole,) = check(42)
    assert hole.rule == "cannot-load" and "int" in hole.problem


def test_checking_runs_nothing_and_changes_nothing() -> None:
    ran: list[str] = []

    async def node(state: Log) -> Written:
        ran.append("node")
        return {"log": []}

    drawing = chain(node)
    before = (dict(drawing.nodes), set(drawing.edges), dict(drawing.channels), drawing.compiled)
    check(drawing)
    assert before == (dict(drawing.nodes), set(drawing.edges), dict(drawing.channels), drawing.compiled) and not ran
