"""One broken model does not take the others down with it (guide: M7), seen at a real server by its count of calls."""

import asyncio
import os
import signal
import subprocess
import sys
import textwrap
import time
from pathlib import Path
from typing import Any

import pytest
from kit import LOOSE, Log, Written, chain, named, says
from langchain_core.tools import ToolException, tool
from langchain_openai import ChatOpenAI
from model_server import ModelServer

from guards import Breaker, Policy, closing, fallback, gather, guard
from guards.calls.circuits import circuits

QUICK = Breaker(failures=3, seconds=30, slow=0.05)
POLICY = LOOSE.but(breaker=QUICK, prices={"gpt-4o-mini": (0.0, 0.0)})
HANGS = POLICY.but(timeout=0.5)
TOGETHER = 20


def model(**more: Any) -> ChatOpenAI:
    """A plain model of an author who forgot about limits."""
    more = {"model": "gpt-4o-mini", **more}
    return ChatOpenAI(base_url=os.environ["OPENAI_BASE_URL"], max_retries=0, **more)


async def ask(state: Log) -> Written:
    return {"log": [(await model().ainvoke("hello")).text]}


def agent(policy: Policy) -> Any:
    """A graph of one agent with a plan that needs no model."""
    return guard(chain(fallback(named("ask", ask), says("plain")), closing(says("end"))), policy)


async def run(graph: Any) -> tuple[str, str]:
    """What the agent said, and why it was lost."""
    result = await asyncio.wait_for(graph.ainvoke({"log": []}), 60)
    return result["log"][0], next((entry.reason for entry in result["run"].missing), "")


@pytest.fixture
def later(monkeypatch: pytest.MonkeyPatch) -> Any:
    """Moves the clock that the circuits go by."""

    def move(seconds: float) -> None:
        monkeypatch.setattr(circuits(), "_clock", lambda: time.time() + seconds)

    return move


async def test_bare_every_agent_waits_for_the_silent_model_itself(server: ModelServer) -> None:
    server.fault("hang")
    graph = chain(named("ask", ask), says("end")).compile()
    waiting = [asyncio.create_task(graph.ainvoke({"log": []})) for _ in range(TOGETHER)]
    assert await server.until(lambda: server.open_now == TOGETHER)
    assert not any(task.done() for task in waiting)
    for task in waiting:
        task.cancel()
    await asyncio.gather(*waiting, return_exceptions=True)


@pytest.mark.parametrize(("fault", "policy"), [("hang", HANGS), ("500", POLICY), ("reset", POLICY), ("drip", HANGS)])
async def test_after_a_few_failures_every_run_takes_its_fallback_at_once_and_a_probe_closes_the_circuit(
    server: ModelServer, later: Any, fault: str, policy: Policy
) -> None:
    server.fault(fault)
    graph = agent(policy)
    for _ in range(3):
        assert (await run(graph))[0] == "plain"
    assert len(server.calls) == 3

    for said, why in await asyncio.gather(*(run(graph) for _ in range(TOGETHER))):
        assert said == "plain" and why.startswith("model 'gpt-4o-mini': circuit open: 3 failures in a row, next probe")
    assert len(server.calls) == 3, "an open circuit costs no call"

    server.mend()
    later(31)
    assert await run(graph) == ("Hello.", "")
    assert await asyncio.gather(*(run(graph) for _ in range(TOGETHER))) == [("Hello.", "")] * TOGETHER


async def test_a_graph_that_begins_later_and_asks_for_attempts_is_refused_at_once_too(server: ModelServer) -> None:
    server.fault("500")
    for _ in range(3):
        await run(agent(POLICY))
    began = time.monotonic()
    said, why = await run(agent(POLICY.but(attempts=5, timeout=20)))
    assert said == "plain" and "circuit open" in why and len(server.calls) == 3
    assert time.monotonic() - began < 5


async def test_of_many_calls_at_half_open_exactly_one_goes_through(server: ModelServer, later: Any) -> None:
    server.fault("500", calls=3)
    graph = agent(POLICY)
    for _ in range(3):
        await run(graph)
    later(31)
    server.fault("hang", last=4, first=4)
    probe = asyncio.create_task(run(graph))
    assert await server.until(lambda: server.open_now == 1)
    others = await asyncio.gather(*(run(graph) for _ in range(TOGETHER)))
    assert all(said == "plain" and "a probe is on its way" in why for said, why in others)
    assert len(server.calls) == 4
    probe.cancel()
    await asyncio.gather(probe, return_exceptions=True)
    assert await run(graph) == ("Hello.", ""), "a cancelled probe makes room for another"


@pytest.mark.parametrize("fault", ["429", "401", "no_schema", "overflow", "empty"])
async def test_answers_that_are_no_outage_never_open_it(server: ModelServer, fault: str) -> None:
    server.fault(fault)
    graph = agent(POLICY.but(calls=1_000))
    for _ in range(6):
        _, why = await run(graph)
        assert "circuit" not in why
    assert len(server.calls) == 6


async def test_calls_that_we_cancel_never_open_it(server: ModelServer) -> None:
    server.fault("hang", calls=6)
    graph = agent(POLICY)
    for number in range(6):
        task = asyncio.create_task(run(graph))
        assert await server.until(lambda number=number: len(server.calls) == number + 1)
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)
    assert await run(graph) == ("Hello.", "")


async def test_a_call_that_got_only_the_end_of_its_attempt_is_not_blamed_for_it(server: ModelServer) -> None:
    server.fault("hang", calls=3)

    async def slow(state: Log) -> Written:
        await asyncio.sleep(0.9)
        return await ask(state)

    graph = guard(
        chain(fallback(named("ask", slow), says("plain"))), HANGS.but(timeout=1.0, breaker=Breaker(failures=3))
    )
    for _ in range(3):
        await run(graph)
    assert (await run(agent(POLICY)))[0] == "Hello."


async def test_another_model_on_the_same_server_goes_on(server: ModelServer) -> None:
    server.fault("500", calls=3)
    for _ in range(3):
        await run(agent(POLICY))

    async def other(state: Log) -> Written:
        return {"log": [(await model(model="other").ainvoke("hello")).text]}

    graph = guard(chain(named("other", other)), POLICY.but(prices={"other": (0.0, 0.0)}))
    assert await run(graph) == ("Hello.", "")


async def test_two_providers_models_one_agent_each_costs_only_itself(server: ModelServer) -> None:
    """In one run: the agent whose model is down is replaced, the others are not."""
    server.fault("500", role="writer")

    async def branch(state: Any) -> Written:
        name = state["topic"]
        reply = await model(model=name).ainvoke([("system", f"You are the {name}."), ("user", "hi")])
        return {"log": [reply.text]}

    prices = dict.fromkeys(("writer", "editor", "reader"), (0.0, 0.0))
    graph = chain(says("plan"))
    graph.edges.discard(("plan", "__end__"))
    names = [{"topic": name} for name in ("writer", "editor", "reader") for _ in range(5)]
    gather(graph, "plan", named("branch", branch), over=lambda state: names, at_most=20, into=closing(says("join")))
    graph.add_edge("join", "__end__")
    guarded = guard(graph, POLICY.but(prices=prices))
    for _ in range(2):
        result = await guarded.ainvoke({"log": []})
        assert result["log"].count("Hello.") == 10 and {entry.what for entry in result["run"].missing} == {"branch"}
    assert len(server.of("writer")) == 5, "in the second run nobody asked it"


async def test_a_breaker_that_is_switched_off_never_opens(server: ModelServer) -> None:
    server.fault("500")
    for _ in range(6):
        await run(agent(POLICY.but(breaker=None)))
    assert len(server.calls) == 6


# -- tools


async def test_a_tool_that_keeps_timing_out_is_not_asked_again_and_one_that_is_misused_is() -> None:
    asked = []

    @tool
    async def search(query: str) -> str:
        """Search somewhere far away."""
        asked.append(query)
        raise TimeoutError

    @tool
    async def picky(query: str) -> str:
        """Search only for what it likes."""
        asked.append(query)
        raise ToolException("not that")

    def uses(one: Any) -> Any:
        async def node(state: Log) -> Written:
            return {"log": [await one.ainvoke({"query": one.name})]}

        return guard(chain(fallback(named("look", node), says("plain"))), POLICY)

    for _ in range(6):
        said, why = await run(uses(search))
        assert said == "plain"
    assert len(asked) == 3 and why.startswith("tool 'search': circuit open: 3 failures in a row")
    asked.clear()
    for _ in range(6):
        await run(uses(picky))
    assert len(asked) == 6


# -- processes

WORKER = textwrap.dedent(
    """
    import asyncio, sys
    sys.path[:0] = [%r, %r]
    from test_cascade import POLICY, QUICK, agent, run
    from guards import Breaker
    policy = POLICY.but(timeout=15) if sys.argv[1] == "hang" else POLICY
    async def main():
        for _ in range(int(sys.argv[2])):
            print(await run(agent(policy)), flush=True)
    asyncio.run(main())
    """
)


def worker(tmp_path: Path, *arguments: str) -> "subprocess.Popen[str]":
    root = Path(__file__).parent.parent
    script = tmp_path / "worker.py"
    script.write_text(WORKER % (str(root), str(root / "tests")))
    command = [sys.executable, str(script), *arguments]
    return subprocess.Popen(command, stdout=subprocess.PIPE, text=True, env=os.environ)


async def test_what_one_process_opens_is_open_for_the_other_at_once(
    server: ModelServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, later: Any
) -> None:
    monkeypatch.setenv("INTERLOCK_STORE", str(tmp_path / "shared.sqlite"))
    assert await run(agent(POLICY)) == ("Hello.", ""), "this process knows of nothing bad"
    server.fault("500", last=4)
    other = worker(tmp_path, "fail", "3")
    said = await asyncio.to_thread(other.communicate, timeout=60)
    assert said[0].count("plain") == 3 and len(server.calls) == 4
    text, why = await run(agent(POLICY))
    assert text == "plain" and "3 failures in a row" in why and len(server.calls) == 4
    later(31)
    assert await run(agent(POLICY)) == ("Hello.", "")
    other = worker(tmp_path, "work", "1")
    said = await asyncio.to_thread(other.communicate, timeout=60)
    assert said[0] == "('Hello.', '')\n", "and what this one closed is closed for the other"


async def test_a_probe_of_a_process_that_was_killed_does_not_keep_the_circuit_half_open(
    server: ModelServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, later: Any
) -> None:
    monkeypatch.setenv("INTERLOCK_STORE", str(tmp_path / "shared.sqlite"))
    server.fault("500", calls=3)
    later(-31)
    for _ in range(3):
        await run(agent(POLICY))
    server.fault("hang", first=4, last=4)
    other = worker(tmp_path, "hang", "1")
    assert await server.until(lambda: len(server.calls) == 4, 60)
    other.send_signal(signal.SIGKILL)
    await asyncio.to_thread(other.wait)
    later(0)
    assert "a probe is on its way" in (await run(agent(POLICY)))[1]
    later(17)
    assert await run(agent(POLICY)) == ("Hello.", "")
