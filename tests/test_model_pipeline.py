"""The whole research graph with a real server behind its agents: whatever the server does, the run ends with a report.

Everything goes over HTTP, whole and streamed. The times are small; the guard's rules are those of production.
"""

import asyncio
import time
from pathlib import Path
from typing import Any

import pytest
from model_server import CARD, FAULTS, INVENTED, ModelServer

import nodes.chat  # a cold import would eat the small time-outs below
from graphs.research import POLICY, build
from guards import guard
from state.answer import Answer
from state.guarded import Run
from state.research import Context

SECONDS = 15.0
SMALL = POLICY.but(seconds=SECONDS, timeout=SECONDS, dollars=None)
SLOW = ("hang", "drip")
QUESTION = "When was the Halden bridge opened and what did it cost?"
MODES = ["values", "messages"]
ROLES = ("planner", "writer", "reviewer")


@pytest.fixture
def docs(tmp_path: Path) -> Path:
    """A folder whose documents disagree about a year."""
    folder = tmp_path / "docs"
    folder.mkdir()
    (folder / "herald.md").write_text(
        "# Halden bridge\n\nThe Halden bridge was opened in 1932. Its cost was 5 million.\n"
    )
    (folder / "ledger.txt").write_text("Ledger of the town.\n\nThe Halden bridge was opened in 1934 by the mayor.\n")
    (folder / "other.md").write_text("# Gardens\n\nRoses flower in June and want water.\n")
    return folder


@pytest.fixture(scope="module")
def graph() -> Any:
    return guard(build(), SMALL, name="research")


@pytest.fixture(scope="module")
def hasty() -> Any:
    """For faults that are nothing but waiting."""
    return guard(build(), SMALL.but(timeout=0.4, attempts=1), name="research")


async def run(graph: Any, docs: Path, streamed: bool, context: Context | None = None) -> tuple[Answer, Run, float]:
    """The answer, the record and the seconds that it took."""
    began = time.monotonic()
    asked, context = {"question": QUESTION, "docs": [str(docs)]}, context or Context()
    if streamed:
        states = [s async for mode, s in graph.astream(asked, context=context, stream_mode=MODES) if mode == "values"]
    else:
        states = [await graph.ainvoke(asked, context=context)]
    return states[-1]["answer"], states[-1]["run"], time.monotonic() - began


def assert_sound(answer: Answer, run: Run, seconds: float, docs: Path) -> None:
    """What holds of every run, whatever happened."""
    assert seconds < SECONDS
    assert run.outcome == answer.outcome
    assert answer.report.strip()
    assert "Traceback" not in answer.report
    for quote in answer.quotes:
        assert (docs / quote.source_id).read_text()[quote.start : quote.end] == quote.text
    assert {quote.source_id for quote in answer.quotes} <= {source.id for source in answer.sources}


@pytest.mark.parametrize("streamed", [False, True])
async def test_a_run_with_a_model_is_complete(graph: Any, server: ModelServer, docs: Path, streamed: bool) -> None:
    answer, record, seconds = await run(graph, docs, streamed)
    assert_sound(answer, record, seconds, docs)
    assert (answer.outcome, answer.mode) == ("complete", "model")
    assert {call.role for call in server.calls} >= set(ROLES)
    assert {call.stream for call in server.calls} == {streamed}
    assert record.spent.calls == len(server.calls)
    assert record.spent.input_tokens == sum(call.input_tokens for call in server.calls)


BROKEN = ("hang", "429", "500", "401", "overflow", "broken_json", "broken_body", "html", "empty", "drip")
BROKEN += ("reset", "reset_midway", "huge", "refusal", "length")


@pytest.mark.parametrize("streamed", [False, True])
@pytest.mark.parametrize("fault", BROKEN)
async def test_a_broken_model_leaves_a_partial_report_from_the_documents(
    graph: Any, hasty: Any, server: ModelServer, docs: Path, fault: str, streamed: bool
) -> None:
    server.fault(fault)
    answer, record, seconds = await run(hasty if fault in SLOW else graph, docs, streamed)
    assert_sound(answer, record, seconds, docs)
    assert (answer.outcome, answer.mode) == ("partial", "extractive")
    assert {"plan", "write"} <= {entry.what for entry in record.missing}
    assert {quote.source_id for quote in answer.quotes} >= {"herald.md", "ledger.txt"}
    assert await server.until(lambda: server.open_now == 0)


@pytest.mark.parametrize("role", ROLES)
@pytest.mark.parametrize("fault", ["500", "hang", "broken_json"])
async def test_a_broken_role_costs_only_its_step(
    graph: Any, hasty: Any, server: ModelServer, docs: Path, fault: str, role: str
) -> None:
    server.fault(fault, role=role)
    answer, record, seconds = await run(hasty if fault in SLOW else graph, docs, streamed=False)
    assert_sound(answer, record, seconds, docs)
    node = {"planner": "plan", "writer": "write", "reviewer": "review"}[role]
    assert [entry.what for entry in record.missing] == [node]
    assert answer.mode == ("extractive" if role == "writer" else "model")


async def test_a_planner_that_hangs_leaves_time_to_search(server: ModelServer, docs: Path) -> None:
    server.fault("hang", role="planner")
    brisk = guard(build(), SMALL.but(seconds=4, timeout=30, attempts=1), name="research")
    answer, record, seconds = await run(brisk, docs, streamed=False)
    assert_sound(answer, record, seconds, docs)
    assert (answer.outcome, answer.mode) == ("partial", "model") and answer.quotes
    assert answer.stop_reason.startswith("plan: no answer within 1.")


@pytest.mark.parametrize("fault", ["429", "500", "reset", "broken_json", "empty"])
async def test_a_fault_that_passes_is_mended_by_the_guard_alone(
    graph: Any, server: ModelServer, docs: Path, fault: str
) -> None:
    server.fault(fault, role="writer", calls=1, retry_after=0.01)
    answer, record, seconds = await run(graph, docs, streamed=False)
    assert_sound(answer, record, seconds, docs)
    assert (answer.outcome, answer.mode) == ("complete", "model")
    assert len(server.of("writer")) == 2


async def test_a_reviewer_that_never_approves_is_heard_three_times(graph: Any, server: ModelServer, docs: Path) -> None:
    server.fault("never_approves")
    answer, record, seconds = await run(graph, docs, streamed=False)
    assert_sound(answer, record, seconds, docs)
    assert answer.outcome == "partial"
    assert "review" in answer.stop_reason
    assert len(server.of("writer")) == len(server.of("reviewer")) == 3
    assert "review" in answer.report
    assert server.of("writer")[2].records("objection") == [{"objection": "Objection 2: not good enough."}]


@pytest.mark.parametrize("streamed", [False, True])
@pytest.mark.parametrize(("fault", "mode"), [("invented", "model"), ("only_invented", "extractive")])
async def test_an_invented_source_never_reaches_the_report(
    graph: Any, server: ModelServer, docs: Path, fault: str, mode: str, streamed: bool
) -> None:
    server.fault(fault)
    answer, record, seconds = await run(graph, docs, streamed)
    assert_sound(answer, record, seconds, docs)
    assert (answer.outcome, answer.mode) == ("partial", mode)
    assert INVENTED in answer.stop_reason
    assert all(INVENTED not in claim.source_ids for claim in answer.claims)
    assert "An invented claim" not in answer.report


@pytest.mark.parametrize("streamed", [False, True])
async def test_a_leaked_card_number_never_leaves(graph: Any, server: ModelServer, docs: Path, streamed: bool) -> None:
    server.fault("card")
    answer, record, seconds = await run(graph, docs, streamed)
    assert_sound(answer, record, seconds, docs)
    assert answer.mode == "model"
    assert CARD not in answer.model_dump_json()


async def test_no_key_is_ever_told(
    graph: Any, server: ModelServer, docs: Path, caplog: pytest.LogCaptureFixture
) -> None:
    server.fault("401")
    answer, record, _ = await run(graph, docs, streamed=False)
    key = server.calls[0].headers["authorization"].removeprefix("Bearer ")
    assert key not in answer.model_dump_json() + record.model_dump_json() + caplog.text


async def test_a_spent_budget_falls_back_to_the_documents(server: ModelServer, docs: Path) -> None:
    answer, record, seconds = await run(guard(build(), SMALL.but(calls=1), name="research"), docs, streamed=False)
    assert_sound(answer, record, seconds, docs)
    assert (answer.outcome, answer.mode) == ("partial", "extractive")
    assert len(server.calls) == 1 == record.spent.calls


async def test_extractive_mode_needs_no_model(graph: Any, server: ModelServer, docs: Path) -> None:
    answer, record, seconds = await run(graph, docs, streamed=False, context=Context(mode="extractive"))
    assert_sound(answer, record, seconds, docs)
    assert (answer.outcome, answer.mode) == ("complete", "extractive")
    assert not server.calls and record.spent.calls == 0


async def test_runs_side_by_side_do_not_meet(graph: Any, server: ModelServer, docs: Path) -> None:
    results = await asyncio.gather(*(run(graph, docs, streamed=False) for _ in range(5)))
    assert [answer.outcome for answer, _, _ in results] == ["complete"] * 5
    assert sum(record.spent.calls for _, record, _ in results) == len(server.calls)


def test_every_fault_of_the_server_is_provoked_here() -> None:
    here = {*BROKEN, "never_approves", "invented", "only_invented", "card"}
    assert set(FAULTS) - here == {"no_schema", "no_usage"}  # no losses: see test_models
    assert nodes.chat
