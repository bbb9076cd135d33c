"""The guide's failure scenarios, each first on the bare graph, then under the guard (requirements M2, M3, M7).

M1 (endless arguments) is in test_debate, M4 (agents that slow a run down) in test_coordinate, M5 (memory that rots) in
test_remembered, more of M7 (cascades) in test_cascade.
"""

import asyncio

from model_server import ModelServer

from bench.faulty import QUESTION, broken, job
from guards import Policy, guard

POLICY = Policy(seconds=300, timeout=0.3, attempts=1)
PRICES = {"gpt-4o-mini": (1_000.0, 1_000.0)}
"""A dollar for a thousand tokens."""


async def bare_until(server: ModelServer, calls: int, *, seconds: float = 20.0) -> bool:
    """Start the bare job and leave it alone until the server saw so many calls; whether it was still going on then."""
    running = asyncio.create_task(job(cleaned=False).compile().ainvoke(QUESTION))
    assert await server.until(lambda: len(server.calls) >= calls, seconds)
    went_on = not running.done()
    running.cancel()
    await asyncio.gather(running, return_exceptions=True)
    return went_on


async def test_an_agent_that_stops_responding_is_replaced_by_its_fallback(server: ModelServer) -> None:
    server.fault("hang", role="writer")
    bare = asyncio.create_task(job(cleaned=False).compile().ainvoke(QUESTION))
    assert await server.until(lambda: server.open_now == 1)
    result = await guard(job(cleaned=True), POLICY).ainvoke(QUESTION)
    assert not bare.done()  # it was there first, and it waits for ever
    bare.cancel()
    await asyncio.gather(bare, return_exceptions=True)
    assert result["run"].outcome == "partial" and result["run"].missing[0].status == "timed out"
    assert result["report"].startswith("Found in ")


async def test_a_reviewer_that_never_approves_runs_up_no_bill(server: ModelServer) -> None:
    server.fault("never_approves")
    assert await bare_until(server, 40)  # twenty drafts, and no end
    bare = len(server.calls)
    result = await guard(job(cleaned=True), POLICY.but(timeout=60)).ainvoke(QUESTION)
    assert len(server.calls) - bare == 4
    assert result["run"].outcome == "partial" and "round 2 changed nothing" in result["run"].stop_reason


async def test_a_budget_stops_a_run_before_it_is_passed(server: ModelServer) -> None:
    server.fault("never_approves")
    server.reply("writer", lambda call: {"claims": [{"text": f"Draft {call.number}."}]})
    policy = POLICY.but(timeout=60, dollars=0.5, prices=PRICES, rounds=1_000, calls=None, tokens=None, reply_tokens=100)
    result = await guard(job(cleaned=True), policy).ainvoke(QUESTION)
    used = sum(call.input_tokens + call.output_tokens for call in server.calls)
    assert 0 < used / 1_000 <= 0.5
    assert result["run"].outcome == "partial" and "0.5 dollars" in result["run"].stop_reason


async def test_the_failure_of_one_agent_does_not_take_the_others_down(server: ModelServer) -> None:
    server.reply("writer", {"claims": [{"text": "It cost 4 million."}]})
    bare = await asyncio.gather(job(broken, cleaned=False).compile().ainvoke(QUESTION), return_exceptions=True)
    assert isinstance(bare[0], ValueError) and not server.calls
    result = await guard(job(broken, cleaned=True), POLICY.but(timeout=60)).ainvoke(QUESTION)
    assert [entry.what for entry in result["run"].missing] == ["broken"]
    assert result["found"] == ["files", "pages", "merged"] and result["report"] == "It cost 4 million."
