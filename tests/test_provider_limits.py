"""A provider's limits hold for everybody who has its key (guide: I3), seen at a real server by its count of calls."""

import asyncio
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from call_kit import call
from kit import LOOSE, Log, Written, chain, named, says
from langchain_openai import ChatOpenAI
from langgraph.graph import END, START, StateGraph
from model_server import ModelServer
from postgres_kit import emptied
from source_kit import reply, site

from guards import Breaker, Policy, gather, guard
from guards.calls.circuits import Circuits
from guards.calls.rate_gate import RateGate
from guards.errors import CircuitOpen, RateLimited
from guards.stores import Store
from guards.stores.postgres import postgres_store
from guards.stores.sqlite import sqlite_store
from nodes.sources.web import web
from state.research import Research

POLICY = LOOSE.but(seconds=30, timeout=30, prices={"gpt-4o-mini": (0.0, 0.0)}, calls=None)
SOON = 4.0
"""Seconds within which something is refused that would have to wait for a minute."""


@pytest.fixture
def server() -> Iterator[ModelServer]:
    with ModelServer() as running:
        yield running


def model(server: ModelServer, key: str = "", **more: Any) -> ChatOpenAI:
    """A key that is handed over is told to nobody; who has several says so."""
    metadata = {"interlock_provider": key} if key else {}
    return ChatOpenAI(model="gpt-4o-mini", base_url=server.url, api_key="a", max_retries=0, metadata=metadata, **more)  # type: ignore[arg-type]


def asks(chat: ChatOpenAI, name: str = "ask") -> Any:
    async def node(state: Log) -> Written:
        return {"log": [(await chat.ainvoke("hello")).text]}

    return named(name, node)


def agent(policy: Policy, chat: ChatOpenAI, name: str = "ask") -> Any:
    return guard(chain(asks(chat, name)), policy)


async def outcome(graph: Any) -> str:
    """How a run ended: "complete", or the reason why not."""
    run = (await graph.ainvoke({"log": []}))["run"]
    return run.outcome if run.outcome == "complete" else run.stop_reason


async def test_requests_a_minute_count_for_a_key_over_all_agents_and_runs(server: ModelServer) -> None:
    policy, began = POLICY.but(requests_per_minute=3), time.monotonic()
    agents = [agent(policy, model(server), name) for name in ("planner", "writer", "planner", "editor", "writer")]
    ends = [await outcome(one) for one in agents]
    assert ends[:3] == ["complete"] * 3 and len(server.calls) == 3
    assert all("the limit of 3 requests a minute" in end for end in ends[3:]), ends
    assert time.monotonic() - began < SOON, "what has no room before its deadline does not wait for it"
    assert await outcome(agent(policy, model(server, key="b"))) == "complete", "another key has limits of its own"


async def test_tokens_a_minute_are_set_aside_before_a_call_and_corrected_after_it(server: ModelServer) -> None:
    """A call may take about 60 tokens and takes a handful, so that several have room where two would not."""
    policy = POLICY.but(tokens_per_minute=100, reply_tokens=50)
    ends = [await outcome(agent(policy, model(server))) for _ in range(6)]
    used = sum(one.input_tokens + one.output_tokens for one in server.calls)
    assert ends[:2] == ["complete"] * 2 and used <= 100 and len(server.calls) < 100 // 10
    ends += [await outcome(agent(policy.but(reply_tokens=90), model(server)))]
    assert "the limit of 100 tokens a minute" in ends[-1] and len(server.calls) == ends.count("complete")


async def test_calls_in_flight_are_bounded_over_the_branches_of_several_runs(server: ModelServer) -> None:
    server.fault("drip", every=0.001)
    drawing: StateGraph[Any, Any, Any, Any] = StateGraph(Log)
    branches = [asks(model(server), f"branch{number}") for number in range(4)]
    drawing.add_node("start", says("start"))
    drawing.add_node("join", says("join"))
    drawing.add_edge(START, "start")
    gather(drawing, "start", branches, into="join")
    drawing.add_edge("join", END)
    graph = guard(drawing, POLICY.but(calls_in_flight=2))
    assert await asyncio.gather(*(outcome(graph) for _ in range(3))) == ["complete"] * 3
    assert len(server.calls) == 12 and server.most_open == 2


async def test_a_synchronous_call_waits_for_its_turn_too(server: ModelServer) -> None:
    """It waits in its own thread: the event loop, and with it the call that is in its way, goes on."""
    server.fault("hang", calls=1)
    policy = POLICY.but(calls_in_flight=1)
    first = asyncio.create_task(outcome(agent(policy.but(timeout=1), model(server))))
    assert await server.until(lambda: server.open_now == 1)

    async def blocks(state: Log) -> Written:
        return {"log": [(await asyncio.to_thread(model(server).invoke, "hello")).text]}

    second = await guard(chain(named("blocks", blocks)), policy).ainvoke({"log": []})
    assert second["log"] == ["Hello."] and first.done() and server.most_open == 1
    assert "within 1 s" in await first


async def test_a_retry_after_of_one_agent_keeps_everybody_with_that_key_away(server: ModelServer) -> None:
    server.fault("429", calls=1, retry_after=60)
    ends = [await outcome(agent(POLICY, model(server), name)) for name in ("planner", "writer", "editor")]
    assert len(server.calls) == 1 and all("the provider asked to wait" in end for end in ends[1:])
    assert await outcome(agent(POLICY, model(server, key="b"))) == "complete"


async def test_the_end_of_what_a_provider_says_is_left_is_not_run_into(server: ModelServer) -> None:
    server.headers = (
        "x-ratelimit-limit-requests: 10",
        "x-ratelimit-remaining-requests: 1",
        "x-ratelimit-reset-requests: 1m0s",
    )
    ends = [await outcome(agent(POLICY, model(server))) for _ in range(4)]
    assert ends[:2] == ["complete"] * 2 and len(server.calls) == 2
    assert all("0 requests left until its limit resets" in end for end in ends[2:]), ends


@pytest.mark.parametrize(("fault", "sent"), [("500", 3), ("429", 3), ("reset", 3), ("401", 1), ("no_schema", 1)])
async def test_attempts_are_counted_on_one_floor_and_permanent_errors_get_one(
    server: ModelServer, fault: str, sent: int
) -> None:
    """A client that would try twice more by itself makes no call beyond them."""
    server.fault(fault, **({"retry_after": 0.01} if fault == "429" else {}))
    chat = ChatOpenAI(model="gpt-4o-mini", base_url=server.url, api_key="a", max_retries=2)  # type: ignore[arg-type]
    if fault == "no_schema":
        chat = chat.bind(response_format={"type": "json_object"})  # type: ignore[assignment]
    assert await outcome(agent(POLICY.but(attempts=3, breaker=None), chat)) != "complete"
    assert len(server.calls) == sent


# -- sources


async def test_a_source_behind_an_open_circuit_is_not_asked_and_a_probe_closes_it(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("INTERLOCK_ALLOW_LOOPBACK", "1")
    graph: StateGraph[Any, Any, Any, Any] = StateGraph(Research)
    graph.add_node("web", web)
    graph.add_edge(START, "web")
    graph.add_edge("web", END)
    guarded = guard(graph, LOOSE.but(breaker=Breaker(failures=2, seconds=30)))
    async with site() as served:
        served.pages["/"] = reply(b"sorry", status="503 Service Unavailable")

        async def look() -> str:
            result = await guarded.ainvoke({"question": "What is known?", "urls": [served.url]})
            (source,) = result["collected"][0].sources
            return f"{source.status} {source.reason}"

        assert ["HTTP 503" in await look() for _ in range(2)] == [True, True] and len(served.asked) == 2
        assert "circuit open: 2 failures in a row" in await look() and len(served.asked) == 2
        served.pages["/"] = reply(b"<p>The tide clock hangs at Market Square.")
        from guards.calls import circuits

        monkeypatch.setattr(circuits.circuits(), "_clock", lambda: time.time() + 31)
        assert await look() == "ok " and len(served.asked) == 3
        assert await look() == "ok " and len(served.asked) == 4


# -- several processes, each with its own connection to one database


@pytest.fixture(params=["sqlite", "postgres"])
def two(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[tuple[Store, Store]]:
    if request.param == "postgres":
        url = emptied(request.getfixturevalue("postgres_url"))
        stores = postgres_store(url), postgres_store(url)
    else:
        stores = sqlite_store(tmp_path / "books.sqlite"), sqlite_store(tmp_path / "books.sqlite")
    yield stores
    for store in stores:
        store.close()


async def test_a_circuit_that_one_opens_is_open_for_the_other_and_one_probe_closes_it_for_both(
    two: tuple[Store, Store],
) -> None:
    now = [1_000_000.0]
    here, there = (Circuits(store, clock=lambda: now[0]) for store in two)
    limits = Breaker(failures=2, seconds=30)
    for circuits in (here, there):
        circuits.note(await circuits.enter("model 'm'", "model 'm'", limits, 10), "failed")
        await two[0 if circuits is here else 1].settled()
    for circuits in (there, here):
        with pytest.raises(CircuitOpen, match="2 failures in a row"):
            await circuits.enter("model 'm'", "model 'm'", limits, 10)
    now[0] += 31
    probe = await there.enter("model 'm'", "model 'm'", limits, 10)
    with pytest.raises(CircuitOpen):
        await here.enter("model 'm'", "model 'm'", limits, 10)
    there.note(probe, "ok")
    await two[1].settled()
    now[0] += 1
    await here.enter("model 'm'", "model 'm'", limits, 10)


async def test_a_rate_is_shared_and_so_is_what_the_provider_said(two: tuple[Store, Store]) -> None:
    now = [1_000_000.0]
    here, there = (RateGate(lambda store=store: store, clock=lambda: now[0]) for store in two)  # type: ignore[misc]
    policy = Policy(requests_per_minute=3)
    for gate in (here, there, here):
        await gate.enter(call(policy, 5, clock=lambda: now[0]))
    with pytest.raises(RateLimited, match="3 requests a minute"):
        await there.enter(call(policy, 5, clock=lambda: now[0]))
    now[0] += 70
    here.hear("p#1", {"retry-after": "60"}, 429)
    await two[0].settled()
    with pytest.raises(RateLimited, match="asked to wait"):
        await there.enter(call(policy, 5, clock=lambda: now[0]))
