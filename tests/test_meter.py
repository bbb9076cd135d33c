"""Every LangChain chat model call inside a guarded graph is counted, also by authors who forgot about limits."""

import asyncio
import contextlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from kit import LOOSE, Log, Written, chain, keep_books_in, named, says
from langchain_core.language_models import SimpleChatModel
from langchain_core.messages import HumanMessage
from langchain_core.tools import tool
from langchain_openai import ChatOpenAI
from langgraph.graph import END, START, StateGraph
from langgraph.types import Command, interrupt
from model_server import ModelServer
from postgres_kit import emptied
from pydantic import BaseModel

from guards import Limits, Transient, fallback, gather, guard, loop
from guards.ledger.accounts import held_of, spent_of
from guards.ledger.amount import NOTHING, of_spent
from guards.ledger.estimate import input_tokens, output_tokens
from guards.stores.chosen import close_stores, store
from guards.stores.memory import MemoryStore

PRICED = LOOSE.but(prices={"gpt-4o-mini": (1.0, 1.0)})


@pytest.fixture
def server() -> Iterator[ModelServer]:
    with ModelServer() as running:
        yield running


def model(server: ModelServer, **more: Any) -> ChatOpenAI:
    """A plain model of an author who forgot about limits."""
    return ChatOpenAI(model="gpt-4o-mini", base_url=server.url, api_key="none", max_retries=0, **more)  # type: ignore[arg-type]


def asks(chat: Any, times: int = 1) -> Any:
    async def node(state: Log) -> Written:
        for _ in range(times):
            await chat.ainvoke("hello")
        return {"log": ["asked"]}

    return named("node", node)


async def run(graph: Any) -> dict[str, Any]:
    """What the graph returns; its record and the books must agree, and no hold is left."""
    result = await graph.ainvoke({"log": []})
    record, rows = result["run"], await store().due("", 1e12, 1_000)
    booked = rows.get(f"run:{record.id}")
    assert spent_of(booked)._replace(milliseconds=0) == of_spent(record.spent) and held_of(booked) == NOTHING
    assert not [key for key in rows if key.startswith("hold:")]
    return result  # type: ignore[no-any-return]


async def test_a_plain_models_call_is_counted_with_its_tokens_and_dollars(server: ModelServer) -> None:
    spent = (await run(guard(chain(asks(model(server), 2)), PRICED)))["run"].spent
    assert spent.calls == 2 == len(server.calls)
    assert spent.input_tokens > 0 and spent.output_tokens > 0
    assert spent.dollars == pytest.approx((spent.input_tokens + spent.output_tokens) / 1e6)


class Answer(BaseModel):
    """An answer."""

    text: str


async def test_tools_structured_output_streams_and_batches_are_counted_too(server: ModelServer) -> None:
    plain = model(server, stream_usage=True)

    async def node(state: Log) -> Written:
        await plain.bind_tools([Answer]).ainvoke("hello")
        with contextlib.suppress(Exception):  # the scripted reply need not fit; the call was made
            await plain.with_structured_output(Answer).ainvoke("hello")
        async for _ in plain.astream("hello"):
            pass
        await plain.abatch(["hello", "there"])
        await asyncio.to_thread(plain.invoke, "hello")
        return {"log": ["asked"]}

    spent = (await run(guard(chain(node), PRICED)))["run"].spent
    assert spent.calls == len(server.calls) == 6


async def test_the_call_after_the_limit_is_not_sent(server: ModelServer) -> None:
    result = await run(guard(chain(asks(model(server), 9)), PRICED.but(calls=3)))
    assert len(server.calls) == 3 == result["run"].spent.calls
    assert result["run"].outcome == "stopped" and "limit of 3 calls" in result["run"].stop_reason


async def test_a_node_with_a_fallback_goes_on_without_the_model_when_the_money_is_gone(server: ModelServer) -> None:
    graph = guard(chain(fallback(asks(model(server), 9), says("plain"))), PRICED.but(dollars=0.0))
    result = await run(graph)
    assert result["log"] == ["plain"] and result["run"].outcome == "partial" and not server.calls


@pytest.mark.parametrize("kept", ["memory", "sqlite", "postgres"])
async def test_a_wide_fan_out_sends_no_more_than_the_budget(
    server: ModelServer, kept: str, request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    name = emptied(request.getfixturevalue("postgres_url")) if kept == "postgres" else str(tmp_path / "books.sqlite")
    monkeypatch.setenv("INTERLOCK_STORE", "memory" if kept == "memory" else name)
    chat = model(server)

    async def worker(state: Any) -> Written:
        await chat.ainvoke("hello")
        return {"log": ["asked"]}

    graph: Any = StateGraph(Log)
    graph.add_node("a", says("a"))
    graph.add_edge(START, "a")
    gather(graph, "a", worker, over=lambda state: list(range(200)), at_most=200, into=says("join"))
    graph.add_edge("join", END)
    result = await run(guard(graph, PRICED.but(calls=5)))
    assert len(server.calls) == 5 == result["run"].spent.calls
    assert result["log"].count("asked") == 5 and result["log"][-1] == "join"
    close_stores()


async def test_a_model_whose_price_nobody_knows_is_refused_with_the_cure(server: ModelServer) -> None:
    chat = ChatOpenAI(model="my-own", base_url=server.url, api_key="none", max_retries=0)  # type: ignore[arg-type]
    result = await run(guard(chain(asks(chat)), LOOSE))
    assert not server.calls and "no price is known for model 'my-own'" in result["run"].stop_reason
    assert (await run(guard(chain(asks(chat)), LOOSE.but(dollars=None))))["run"].outcome == "complete"


async def test_a_call_cut_off_by_the_time_out_is_charged_in_full_and_its_request_is_closed(server: ModelServer) -> None:
    server.fault("hang")
    result = await run(guard(chain(asks(model(server, max_tokens=100))), PRICED.but(timeout=0.5)))
    assert result["run"].spent.calls == 1 and result["run"].spent.output_tokens == 100
    assert await server.until(lambda: server.open_now == 0)


async def test_a_reply_of_the_provider_that_is_an_error_costs_a_call_and_no_tokens(server: ModelServer) -> None:
    server.fault("500")
    spent = (await run(guard(chain(asks(model(server))), PRICED)))["run"].spent
    assert (spent.calls, spent.input_tokens, spent.output_tokens) == (1, 0, 0)


async def test_retries_are_counted_and_happen_on_one_floor_only(server: ModelServer) -> None:
    server.fault("500")
    result = await run(guard(chain(asks(model(server))), PRICED.but(attempts=3)))
    assert len(server.calls) == 3 == result["run"].spent.calls


async def test_a_sub_agents_calls_count_against_the_whole_run(server: ModelServer) -> None:
    inner = guard(chain(asks(model(server), 5)), PRICED.but(calls=4), name="inner")
    graph: Any = StateGraph(Log)
    graph.add_node("first", inner)
    graph.add_node("second", inner)
    graph.add_edge(START, "first")
    graph.add_edge("first", "second")
    result = await run(guard(graph, PRICED.but(calls=6)))
    assert len(server.calls) == 6 == result["run"].spent.calls


async def test_each_round_of_a_loop_is_counted_once_by_nodes_and_by_sub_agents(server: ModelServer) -> None:
    agent = guard(chain(named("inner", asks(model(server)))), PRICED, name="agent")
    graph: Any = StateGraph(Log)
    graph.add_node("write", agent)
    graph.add_node("review", asks(model(server), 2))
    graph.add_node("done", says("done"))
    graph.add_edge(START, "write")
    graph.add_edge("write", "review")
    graph.add_edge("done", END)
    loop(graph, "review", back_to="write", until=lambda state: False, at_most=3, then="done", progress=None)
    assert (await run(guard(graph, PRICED)))["run"].spent.calls == 9 == len(server.calls)


async def test_what_was_spent_before_a_resume_still_counts(server: ModelServer) -> None:
    from langgraph.checkpoint.memory import InMemorySaver

    started, gate = asyncio.Event(), asyncio.Event()

    async def waits(state: Log) -> Written:
        started.set()
        await gate.wait()
        return {}

    graph = guard(chain(asks(model(server), 2), waits, named("more", asks(model(server), 2))), PRICED.but(calls=3))
    graph = graph.copy(update={"checkpointer": InMemorySaver()})
    config: Any = {"configurable": {"thread_id": "t"}}
    task = asyncio.create_task(graph.ainvoke({"log": []}, config, durability="sync"))
    await started.wait()
    task.cancel()
    await asyncio.wait([task])
    gate.set()
    result = await graph.ainvoke(None, config)
    assert len(server.calls) == 3 == result["run"].spent.calls


def forgetful(server: ModelServer) -> ChatOpenAI:
    """As an author writes it who thinks of nothing: the client tries three times by itself."""
    return ChatOpenAI(model="gpt-4o-mini", base_url=server.url, api_key="none")  # type: ignore[arg-type]


async def test_a_client_that_would_try_again_by_itself_leaves_that_to_the_policy(server: ModelServer) -> None:
    server.fault("500")
    result = await run(guard(chain(asks(forgetful(server))), PRICED.but(attempts=2)))
    assert len(server.calls) == 2 == result["run"].spent.calls


@pytest.mark.parametrize("sync", [False, True])
async def test_after_a_broken_connection_a_client_sends_nothing_by_itself(server: ModelServer, sync: bool) -> None:
    async def node(state: Log) -> Written:
        chat = forgetful(server)
        await (asyncio.to_thread(chat.invoke, "hello") if sync else chat.ainvoke("hello"))
        return {}

    server.fault("reset")
    result = await run(guard(chain(node), PRICED.but(attempts=2)))
    assert len(server.calls) == 2 == result["run"].spent.calls


@pytest.mark.parametrize(("sync", "budget"), [(False, 2), (False, 10), (True, 2)])
async def test_what_a_client_sends_again_whatever_it_is_told_is_another_call(
    server: ModelServer, sync: bool, budget: int
) -> None:
    """A client of its own kind: it tries three times and asks nobody."""
    import httpx2

    async def node(state: Log) -> Written:
        request: Any = {
            "url": f"{server.url}/chat/completions",
            "json": {"messages": [{"role": "user", "content": "hello"}]},
        }

        class Own(SimpleChatModel):
            """Sends three times."""

            _llm_type = "own"

            def _call(self, *args: Any, **kwargs: Any) -> str:
                with httpx2.Client() as client:
                    return str([client.post(**request).status_code for _ in range(3)])

        await (asyncio.to_thread(Own().invoke, "hello") if sync else Own().ainvoke("hello"))
        return {}

    server.fault("500")
    result = await run(guard(chain(node), PRICED.but(calls=budget, attempts=1, prices={"": (1.0, 1.0)})))
    assert len(server.calls) == min(3, budget) == result["run"].spent.calls


async def test_another_request_of_the_same_node_is_no_call(server: ModelServer) -> None:
    import httpx2

    async def node(state: Log) -> Written:
        async with httpx2.AsyncClient() as client:
            async for _ in model(server).astream("hello"):
                await client.get(f"{server.url}/models")
                await client.get(f"{server.url}/models")
        return {}

    assert (await run(guard(chain(node), PRICED)))["run"].spent.calls == 1


@pytest.mark.parametrize("sync", [False, True])
async def test_several_prompts_in_one_go_are_as_many_calls(server: ModelServer, sync: bool) -> None:
    prompts = [[HumanMessage("hello")]] * 4

    async def node(state: Log) -> Written:
        chat = forgetful(server)
        await (asyncio.to_thread(chat.generate, prompts) if sync else chat.agenerate(prompts))  # type: ignore[arg-type]
        return {}

    assert (await run(guard(chain(node), PRICED)))["run"].spent.calls == 4 == len(server.calls)


@pytest.mark.parametrize("where", ["loop", "thread", "stream"])
async def test_a_sync_call_is_refused_at_the_limit_too(server: ModelServer, where: str) -> None:
    chat = model(server)
    calls = {
        "loop": lambda: chat.invoke("hello"),
        "thread": lambda: asyncio.to_thread(chat.invoke, "hello"),
        "stream": lambda: asyncio.to_thread(list, chat.stream("hello")),
    }

    async def node(state: Log) -> Written:
        for _ in range(3):
            answer = calls[where]()
            if asyncio.iscoroutine(answer):
                await answer
        return {}

    result = await run(guard(chain(node), PRICED.but(calls=1)))
    assert len(server.calls) == 1 and "limit of 1 calls" in result["run"].stop_reason


async def test_tool_calls_are_counted_and_the_one_after_the_limit_is_not_made() -> None:
    made: list[str] = []

    @tool
    async def look(place: str) -> str:
        """Look there."""
        made.append(place)
        return place

    @tool
    def find(place: str) -> str:
        """Look there too."""
        made.append(place)
        return place

    async def node(state: Log) -> Written:
        await look.ainvoke({"place": "here"})
        await find.ainvoke({"place": "there"})
        await look.ainvoke({"place": "everywhere"})
        return {}

    result = await run(guard(chain(node), LOOSE.but(tool_calls=2)))
    assert made == ["here", "there"] and result["run"].spent.tool_calls == 2
    assert "limit of 2 tool_calls is reached" in result["run"].stop_reason


async def test_each_attempt_has_its_own_limit_and_the_run_has_one_for_all(server: ModelServer) -> None:
    async def node(state: Log) -> Written:
        await model(server).ainvoke("hello")
        raise Transient("once more")

    result = await run(guard(chain(node), PRICED.but(attempts=3, per_attempt=Limits(calls=1))))
    assert len(server.calls) == 3 == result["run"].spent.calls
    result = await run(guard(chain(asks(model(server), 2)), PRICED.but(per_attempt=Limits(calls=1))))
    assert "limit of 1 calls an attempt is reached" in result["run"].stop_reason


async def test_a_role_is_what_the_models_metadata_says_or_the_nodes_name(server: ModelServer) -> None:
    policy = PRICED.but(per_role={"node": Limits(calls=2), "writer": Limits(calls=1)})
    writer = model(server, metadata={"interlock_role": "writer"})
    for chat, calls in ((model(server), 2), (writer, 1)):
        before = len(server.calls)
        result = await run(guard(chain(asks(chat, 5)), policy))
        assert len(server.calls) - before == calls and "is reached" in result["run"].stop_reason


async def test_a_tenant_has_a_day_for_all_its_runs_and_runs_without_one_share_theirs(
    server: ModelServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    books = MemoryStore()
    keep_books_in(books, monkeypatch)
    graph = guard(chain(asks(model(server))), PRICED.but(per_tenant=Limits(calls=1), when_short="start"))
    outcomes = [
        (await graph.ainvoke({"log": []}, {"configurable": {"tenant": tenant}}))["run"].outcome
        for tenant in ("a", "a", "b", "", "")
    ]
    assert outcomes == ["complete", "stopped", "complete", "complete", "stopped"] and len(server.calls) == 3


async def test_what_was_called_before_a_node_waits_for_a_person_is_in_the_record(server: ModelServer) -> None:
    from langgraph.checkpoint.memory import InMemorySaver

    async def node(state: Log) -> Written:
        await model(server).ainvoke("hello")
        interrupt("may I?")
        await model(server).ainvoke("hello")
        return {}

    graph = guard(chain(node), PRICED).copy(update={"checkpointer": InMemorySaver()})
    config: Any = {"configurable": {"thread_id": "t"}}
    await graph.ainvoke({"log": []}, config)
    result = await graph.ainvoke(Command(resume="yes"), config)
    assert len(server.calls) == 3 == result["run"].spent.calls


def test_pictures_schemas_and_many_answers_are_part_of_the_estimate() -> None:
    text = [HumanMessage("so it is " * 34)]
    picture = [HumanMessage([{"type": "image_url", "image_url": {"url": "data:" + "x" * 90_000}}])]
    assert 100 <= input_tokens(text, {}) < 120
    assert input_tokens(picture, {}) < 4_000
    assert input_tokens(text, {"tools": [{"name": "b" * 3_000}]}) > 1_000
    assert input_tokens([HumanMessage("长" * 100)], {}) > 140
    assert input_tokens([HumanMessage("3q2+7w" * 100)], {}) > 400
    assert output_tokens({"max_tokens": 50, "n": 3}, 10) == 150 and output_tokens({}, 10) == 10


@pytest.mark.parametrize("word", ["until", "over"])
async def test_a_model_that_decides_where_a_word_leads_passes_the_gates(server: ModelServer, word: str) -> None:
    """So does one in a loop's condition, called the synchronous way, and its limit holds there too."""
    chat, policy = model(server), PRICED.but(calls=2)

    def until(state: Log) -> bool:
        return bool(chat.invoke("enough?").content == "never")

    def over(state: Log) -> list[Any]:
        return [{"log": [chat.invoke("what?").text]} for _ in range(3)]

    drawing = chain(says("first"), says("last"))
    drawing.edges.discard(("first", "last"))
    if word == "until":
        loop(drawing, "first", back_to="first", until=until, then="last", at_most=9, progress=None)
    else:
        drawing.add_node("worker", says("worker"))
        gather(drawing, "first", ["worker"], into="last", over=over, at_most=9)
    result = await run(guard(drawing, policy))
    assert len(server.calls) == 2 and "limit of 2 calls" in result["run"].stop_reason
    assert result["run"].spent.calls == 2 and result["log"][-1] == "first"
