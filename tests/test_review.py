"""Reviewing: code checks every draft, a model judges what a model wrote, a rejection carries its reasons."""

from typing import Any

import pytest
from langgraph.runtime import Runtime
from model_server import ModelServer

from guards.errors import Transient
from nodes.review import REASONS, Reviewed, review, verify
from state.evidence import Finding
from state.report import Claim, Draft, Plan, Quote
from state.research import Brief, Context

FINDING = Finding(
    source_id="a.md", kind="file", collector="documents", text="Built in 1932.", place="a.md", start=10, end=24
)
QUOTE = Quote(text="in 1932", source_id="a.md", start=16, end=23)
CLAIM = Claim(text="It dates from 1932.", source_ids=("a.md",))


def brief(plan: Plan | None = None, **changes: Any) -> Brief:
    fields: dict[str, Any] = {"mode": "model", "text": "text", "claims": (CLAIM,), "quotes": (QUOTE,), **changes}
    plan = plan or Plan(question="When was it built?")
    return {"question": plan.question, "plan": plan, "evidence": [FINDING], "draft": Draft(**fields)}


async def reviewed(state: Brief, context: Context | None = None) -> Reviewed:
    return await review(state, Runtime(context=context))  # type: ignore[arg-type]


async def test_a_faithful_draft_passes() -> None:
    assert (await verify(brief()))["review"].approved


@pytest.mark.parametrize(
    "quote",
    [
        QUOTE.model_copy(update={"text": "in 1933"}),
        QUOTE.model_copy(update={"start": 15, "end": 22}),
        QUOTE.model_copy(update={"end": 99}),
        QUOTE.model_copy(update={"start": 0, "end": 7}),
        QUOTE.model_copy(update={"source_id": "b.md"}),
    ],
)
async def test_a_quote_that_is_not_the_sources_is_an_objection(quote: Quote) -> None:
    found = (await verify(brief(quotes=(quote,))))["review"]
    assert not found.approved
    assert found.reasons[0].startswith("fidelity")


@pytest.mark.parametrize("sources", [(), ("ghost.md",), ("a.md", "ghost.md")])
async def test_a_statement_on_no_given_source_is_an_objection(sources: tuple[str, ...]) -> None:
    found = (await verify(brief(claims=(CLAIM.model_copy(update={"source_ids": sources}),))))["review"]
    assert "rests on no given source" in found.reasons[0]


async def test_a_forgotten_sub_question_is_an_objection() -> None:
    plan = Plan(question="When and why?", sub_questions=("When?", "Why?"))
    assert "coverage" in (await verify(brief(plan, answered=("When?",))))["review"].reasons[0]
    assert (await verify(brief(plan, answered=("When?",), unanswered=("Why?",))))["review"].approved


async def test_evidence_that_is_not_quoted_is_an_objection() -> None:
    assert "sufficiency" in (await verify(brief(quotes=(), claims=())))["review"].reasons[0]


async def test_no_draft_is_not_approved() -> None:
    state = brief()
    del state["draft"]
    assert not (await verify(state))["review"].approved


async def test_a_model_approves(server: ModelServer) -> None:
    assert (await reviewed(brief()))["review"].approved
    (call,) = server.calls
    assert call.role == "reviewer"
    assert call.records("statement") == [{"statement": CLAIM.text, "sources": ["a.md"], "quotes": ["in 1932"]}]


async def test_a_rejection_carries_reasons(server: ModelServer) -> None:
    server.fault("never_approves")
    found = (await reviewed(brief()))["review"]
    assert (found.approved, found.reasons) == (False, ("Objection 1: not good enough.",))


async def test_a_rejection_without_reasons_still_says_something(server: ModelServer) -> None:
    server.reply("reviewer", {"approved": False, "reasons": ["", " "]})
    found = (await reviewed(brief()))["review"]
    assert not found.approved and found.reasons


async def test_endless_reasons_are_cut(server: ModelServer) -> None:
    server.reply("reviewer", {"approved": False, "reasons": ["again and " * 100] * 50})
    reasons = (await reviewed(brief()))["review"].reasons
    assert len(reasons) == REASONS and max(map(len, reasons)) <= 300


async def test_what_code_rejects_no_model_is_asked_about(server: ModelServer) -> None:
    assert not (await reviewed(brief(quotes=())))["review"].approved
    assert not server.calls


async def test_an_assembled_draft_needs_no_reviewer(server: ModelServer) -> None:
    assert (await reviewed(brief(mode="extractive", claims=())))["review"].approved
    assert not server.calls


async def test_a_failing_reviewer_raises_and_never_approves(server: ModelServer) -> None:
    server.fault("500")
    with pytest.raises(Transient):
        await reviewed(brief())
