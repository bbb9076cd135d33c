"""The ceiling: each term, what binds, what is unbounded, and what it decides at the start of a run."""

import json
import random
from collections.abc import Callable, Iterator
from typing import Annotated, Any

import pytest
from kit import LOOSE, Log, Written, chain, keep_books_in, named, says
from langchain_openai import ChatOpenAI
from langgraph.graph import END, START, StateGraph
from model_server import ModelServer
from typing_extensions import TypedDict

from graphs.research import build
from graphs.research import graph as research
from guards import Limits, Unsafe, ceiling, coordinate, fallback, gather, guard, loop
from guards.stores.memory import MemoryStore
from guards.worst_case.callless import makes_no_call
from guards.worst_case.ceiling import Ceiling, Term
from guards.worst_case.ceiling_text import text
from interlock.cli import main
from state.board import Board, Order, Orders, Task, post


class Project(TypedDict, total=False):
    goal: str
    board: Annotated[Board, post]


BOUNDED = LOOSE.but(per_attempt=Limits(calls=2, tokens=100, dollars=0.01), attempts=2)
PRICES = {"gpt-4o-mini": (1.0, 1.0)}


@pytest.fixture
def server() -> Iterator[ModelServer]:
    with ModelServer() as running:
        yield running


@pytest.fixture
def books(monkeypatch: pytest.MonkeyPatch) -> MemoryStore:
    store = MemoryStore()
    keep_books_in(store, monkeypatch)
    return store


def model(server: ModelServer) -> ChatOpenAI:
    return ChatOpenAI(model="gpt-4o-mini", base_url=server.url, api_key="none", max_retries=0)  # type: ignore[arg-type]


def asks(chat: Any, times: int = 1, name: str = "asks") -> Any:
    async def node(state: Log) -> Written:
        for _ in range(times):
            await chat.ainvoke("hello")
        return {"log": [name]}

    return named(name, node)


def term(found: Ceiling, node: str) -> Term:
    return next(one for one in found.terms if one.node == node)


# -- terms


def test_a_term_is_executions_times_attempts_times_what_an_attempt_may_use() -> None:
    drawing = chain(asks(None, name="a"), asks(None, name="b"))
    drawing.edges.discard(("b", END))
    loop(drawing, "b", back_to="a", until=lambda state: False, then=END, at_most=3)
    found = ceiling(guard(drawing, BOUNDED))
    assert (term(found, "a").executions, term(found, "a").total.calls) == (3, 3 * 2 * 2)
    assert found.most.calls == 24 and found.most.tokens == 1_200 and found.most.dollars == pytest.approx(0.12)
    assert {found.binds[one] for one in ("calls", "tokens", "dollars")} == {"terms"} and not found.unbounded


def test_a_fan_out_multiplies_its_worker_and_not_its_join() -> None:
    drawing: StateGraph[Any, Any, Any, Any] = StateGraph(Log)
    for name in ("start", "worker", "into"):
        drawing.add_node(name, asks(None, name=name))
    drawing.add_edge(START, "start")
    gather(drawing, "start", "worker", into="into", over=lambda state: [{}], at_most=7)
    drawing.add_edge("into", END)
    assert {one.node: one.executions for one in ceiling(guard(drawing, BOUNDED)).terms} == {
        "start": 1,
        "worker": 7,
        "into": 1,
    }


def test_a_fallback_that_may_call_a_model_is_a_try_more_and_a_plain_one_is_none() -> None:
    for plain, calls in ((asks(None, name="plain"), 6), (says("plain"), 4)):
        assert ceiling(guard(chain(fallback(asks(None), plain)), BOUNDED)).most.calls == calls


def test_a_sub_agent_counts_with_its_own_ceiling_for_every_attempt() -> None:
    inner = guard(chain(asks(None)), BOUNDED.but(calls=3), name="inner")
    drawing: StateGraph[Any, Any, Any, Any] = StateGraph(Log)
    drawing.add_node("inner", inner)
    drawing.add_edge(START, "inner")
    found = ceiling(guard(drawing, LOOSE.but(attempts=5)))
    assert term(found, "inner").attempt.calls == 3 and found.most.calls == 15
    assert "asks" in text(found)


def test_other_limits_of_single_nodes_count() -> None:
    graph = guard(chain(asks(None)), BOUNDED, nodes={"asks": BOUNDED.but(attempts=1, per_attempt=Limits(calls=1))})
    assert ceiling(graph).most.calls == 1


def test_the_run_limit_binds_where_it_is_lower_and_is_said_to() -> None:
    found = ceiling(guard(chain(asks(None)), BOUNDED.but(calls=3)))
    assert found.most.calls == 3 and found.binds["calls"] == "run limit" and found.sums["calls"] == 4


def test_what_nothing_bounds_is_named_with_its_cure() -> None:
    found = ceiling(guard(chain(asks(None)), LOOSE.but(calls=None, dollars=None)))
    loose = {one.what: one for one in found.unbounded}
    assert found.most.calls is None and not loose["calls of an attempt of asks"].held_by_run
    assert "per_attempt=Limits(calls=N)" in loose["calls of an attempt of asks"].cure
    assert loose["tokens of an attempt of asks"].held_by_run
    assert "UNBOUNDED" in text(found)


def test_seconds_are_time_outs_waits_and_fallbacks_on_the_costliest_way() -> None:
    drawing = chain(fallback(asks(None, name="a"), says("plain")), asks(None, name="b"))
    found = ceiling(guard(drawing, LOOSE.but(seconds=None, timeout=10, attempts=2)))
    assert found.seconds == pytest.approx((3 * 10 + 10) + (2 * 10 + 10), abs=2)
    assert ceiling(guard(drawing, LOOSE.but(seconds=30, timeout=10))).seconds == 30


def test_a_named_model_bounds_the_money_of_bounded_tokens() -> None:
    policy = LOOSE.but(attempts=1, per_attempt=Limits(calls=1, input_tokens=1_000_000, output_tokens=500_000))
    graph = guard(chain(asks(None)), policy.but(tokens=None, dollars=None, prices={"dear": (2.0, 10.0)}))
    assert ceiling(graph).most.dollars is None
    assert ceiling(graph, model="dear").most.dollars == pytest.approx(7.0)
    with pytest.raises(ValueError, match="nobody knows the price"):
        ceiling(graph, model="unheard-of")


def test_a_drawing_without_a_guard_is_told_to_have_no_one_who_enforces_it() -> None:
    found = ceiling(chain(says("a")))
    assert not found.guarded and "not guarded" in text(found)
    with pytest.raises(TypeError, match="no graph"):
        ceiling(42)


def test_a_cycle_without_a_bound_has_no_bound_here_either() -> None:
    drawing = chain(says("a"), says("b"))
    drawing.add_edge("b", "a")
    with pytest.raises(Unsafe):
        guard(drawing, LOOSE)
    found = ceiling(drawing)
    assert term(found, "a").executions is None and found.supersteps is None and found.unbounded


def test_a_router_that_may_ask_a_model_is_a_term_of_its_own() -> None:
    async def asking(state: Any) -> str:
        return str((await state["topic"].ainvoke("x")).content)

    def plain(state: Log) -> str:
        return "b" if state["log"] else END

    for router, calls in ((asking, 2), (plain, 0)):
        drawing = chain(says("a"))
        drawing.add_node("b", says("b"))
        drawing.edges.discard(("a", END))
        drawing.add_conditional_edges("a", router, ["b", END])
        found = ceiling(guard(drawing, BOUNDED))
        assert term(found, "router of a").total.calls == calls == found.most.calls


async def test_a_boss_and_its_workers_stay_below_their_ceiling() -> None:
    ran: list[str] = []

    async def boss(state: Project) -> Orders:
        return (
            Orders(orders=tuple(Order(worker="second", instruction=str(n)) for n in range(4))) if not ran else Orders()
        )

    async def first(task: Task) -> str:
        return "no"

    async def second(task: Task) -> str:
        ran.append(task.instruction)
        return "yes"

    async def begin(state: Project) -> Project:
        return {"goal": "a report"}

    drawing: StateGraph[Any, Any, Any, Any] = StateGraph(Project)
    drawing.add_node("begin", begin)
    drawing.add_node("end", begin)
    drawing.add_edge(START, "begin")
    coordinate(drawing, "begin", boss, [first, second], then="end", at_once=3, at_most=4)
    drawing.add_edge("end", END)
    graph = guard(drawing, BOUNDED)
    await graph.ainvoke({"goal": ""})
    times = {one.node: one.executions or 0 for one in ceiling(graph).terms}
    assert len(ran) == 4 == times["first, second"], "the workers share the cap of tasks"
    assert times["boss"] == 5 and times["end"] == 1


# -- what the source shows


async def adds(state: Log) -> Written:
    return {"log": sorted(str(len(word)) for word in state["log"] if word.strip() and random.random() < 2)}


async def invokes(state: Any) -> Any:
    return {"log": [await state["model"].ainvoke("x")]}


async def calls_what_it_is_given(state: Any) -> Any:
    return {"log": [state["function"]()]}


async def calls_a_local(state: Any) -> Any:
    function = state["function"]
    return {"log": [function()]}


async def hands_on(state: Any) -> Any:
    return {"log": list(map(state["model"].invoke, ["x"]))}


async def imports(state: Any) -> Any:
    from nodes.models import ask

    return {"log": [ask]}


async def uses_a_helper(state: Any) -> Any:
    return await invokes(state)


async def looks_up(state: Any) -> Any:
    return {"log": [getattr(state["model"], "invoke")("x")]}  # noqa: B009


async def asks_something(state: Any) -> Any:
    return {"log": [state["helper"].summary()]}


def test_code_that_only_counts_makes_no_call() -> None:
    assert makes_no_call(adds) and makes_no_call(says("x"))


@pytest.mark.parametrize(
    "unsure",
    [invokes, calls_what_it_is_given, calls_a_local, hands_on, imports, uses_a_helper, looks_up, asks_something],
)
def test_code_that_may_call_a_model_is_never_said_not_to(unsure: Callable[..., Any]) -> None:
    assert not makes_no_call(unsure)


# -- the start of a run


async def invoke(graph: Any) -> Any:
    return (await graph.ainvoke({"log": []}))["run"]


async def test_a_run_that_may_take_more_than_is_left_is_refused_before_it_starts(
    server: ModelServer, books: MemoryStore
) -> None:
    policy = LOOSE.but(prices=PRICES, per_attempt=Limits(calls=2), per_hour=Limits(calls=3))
    graph = guard(chain(asks(model(server), 2)), policy)
    first, second = await invoke(graph), await invoke(graph)
    assert (first.outcome, second.outcome, len(server.calls)) == ("complete", "refused", 2)
    assert "up to 2 calls, 1 left in an hour" in second.stop_reason


async def test_a_run_started_with_less_keeps_to_less(server: ModelServer, books: MemoryStore) -> None:
    policy = LOOSE.but(prices=PRICES, per_attempt=Limits(calls=9), per_day=Limits(calls=3), when_short="shrink")
    graph = guard(chain(asks(model(server), 2, "a"), asks(model(server), 9, "b")), policy)
    record = await invoke(graph)
    assert record.ceiling.calls == 3 == len(server.calls)
    assert "limit of 3 calls" in record.stop_reason and record.missing[0].reason.startswith("started with less")


async def test_a_run_that_is_told_to_starts_as_it_is(server: ModelServer, books: MemoryStore) -> None:
    policy = LOOSE.but(prices=PRICES, per_hour=Limits(calls=1), when_short="start")
    record = await invoke(guard(chain(asks(model(server), 2)), policy))
    assert record.outcome == "stopped" and len(server.calls) == 1


async def test_nodes_side_by_side_at_the_start_are_no_reason_to_refuse_their_own_run(
    server: ModelServer, books: MemoryStore
) -> None:
    drawing: StateGraph[Any, Any, Any, Any] = StateGraph(Log)
    for name in "abc":
        drawing.add_node(name, asks(model(server), 1, name))
        drawing.add_edge(START, name)
    policy = LOOSE.but(prices=PRICES, per_attempt=Limits(calls=1), per_hour=Limits(calls=3))
    record = await invoke(guard(drawing, policy))
    assert record.outcome == "complete" and len(server.calls) == 3


async def test_the_record_tells_what_was_used_and_what_could_have_been(server: ModelServer) -> None:
    graph = guard(chain(asks(model(server), 1)), BOUNDED.but(prices=PRICES, reply_tokens=20))
    record = await invoke(graph)
    assert record.spent.calls == 1 and record.ceiling.calls == ceiling(graph).most.calls == 4


# -- the command


@pytest.mark.parametrize(
    ("options", "code"),
    [([], 0), (["--max-dollars", "1"], 0), (["--max-dollars", "0.5"], 1), (["--max-calls", "39"], 1)],
)
def test_the_command_is_a_gate(options: list[str], code: int, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["ceiling", "graphs/research.py:graph", "--json", *options]) == code
    assert len(json.loads(capsys.readouterr().out)["above"]) == code


def test_research_is_told_in_eighty_columns_and_only_its_agents_call_models() -> None:
    found = ceiling(research)
    assert {one.node for one in found.terms if one.total.calls} == {"plan", "write", "review"}
    assert (found.most.calls, found.seconds, found.most.dollars) == (40, 300, 1.0)
    assert max(map(len, text(found).splitlines()[1:])) <= 93 and max(map(len, _table(text(found)))) <= 80


def test_a_bare_drawing_of_it_has_the_same_executions() -> None:
    times = {one.node: one.executions for one in ceiling(build()).terms}
    assert times == {one.node: one.executions for one in ceiling(research).terms}
    assert (times["write"], times["documents"], times["follow_up"]) == (3, 2, 1)


def _table(told: str) -> list[str]:
    return [line for line in told.splitlines() if line.startswith("  ") and "cure:" not in line]
