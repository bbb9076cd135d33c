"""Review: may this draft go out? Code checks fidelity, coverage and sufficiency; a model, where there is one, the rest.

A rejection carries reasons; the writer receives them in its next round.
"""

from collections.abc import Iterator

from langgraph.runtime import Runtime
from pydantic import BaseModel, Field
from typing_extensions import TypedDict

from guards.as_data import Record
from nodes import prompt
from nodes.models import ask, wanted
from nodes.text.cite import plain_line
from state.report import Draft, Quote, Review
from state.research import Brief, Context

REASONS = 10
EVIDENCE_TOKENS = 8_000
PROMPT = """You are the reviewer of a research pipeline. You see the question, the evidence and the draft's statements.
Approve the draft unless a statement says more than its quotes, a sub-question that the evidence answers is left out, or
sources that disagree are passed over. When you reject it, give each reason in one sentence that the writer can act on.
Its style is not your concern."""


class Verdict(BaseModel):
    """Your verdict on the draft."""

    approved: bool
    reasons: list[str] = Field(description="Empty when approved.")


class Reviewed(TypedDict):
    """What reviewing writes."""

    review: Review


async def review(state: Brief, runtime: Runtime[Context]) -> Reviewed:
    """Check by code, then ask a model about a draft that a model wrote. Raises what `nodes.models.ask` raises."""
    checked = await verify(state)
    if not checked["review"].approved or state["draft"].mode == "extractive" or not wanted(runtime.context):
        return checked
    verdict = await ask("reviewer", runtime.context, Verdict, prompt.messages(PROMPT, *_records(state)))
    reasons = tuple(filter(None, (plain_line(reason, 300) for reason in verdict.reasons[:REASONS])))
    rejection = reasons or ("the reviewer gave no reason",)
    return {"review": Review(approved=verdict.approved, reasons=() if verdict.approved else rejection)}


async def verify(state: Brief) -> Reviewed:
    """The review that needs no model."""
    draft = state.get("draft")
    reasons = ("nothing was written",) if draft is None else tuple(_objections(draft, state))[:REASONS]
    return {"review": Review(approved=not reasons, reasons=reasons)}


def _objections(draft: Draft, state: Brief) -> Iterator[str]:
    evidence = state.get("evidence", [])
    given = {finding.source_id for finding in evidence}
    for quote in draft.quotes:
        if not any(f.source_id == quote.source_id and _holds(f.text, f.start, quote) for f in evidence):
            yield f"fidelity: a quote is not what {plain_line(quote.source_id, 100)} says"
    for claim in draft.claims:
        if not given.issuperset(claim.source_ids) or not claim.source_ids:
            yield f"fidelity: a statement rests on no given source: {plain_line(claim.text, 100)}"
    for sub_question in set(state["plan"].sub_questions) - {*draft.answered, *draft.unanswered}:
        yield f"coverage: a sub-question is neither answered nor listed as unanswered: {plain_line(sub_question, 100)}"
    if evidence and not draft.quotes:
        yield "sufficiency: there is evidence and the draft quotes none of it"


def _holds(text: str, start: int, quote: Quote) -> bool:
    """Whether the quote stands at its offsets in a finding that begins at `start`."""
    at = quote.start - start
    return at >= 0 and text[at : at + len(quote.text)] == quote.text and quote.end == quote.start + len(quote.text)


def _records(state: Brief) -> Iterator[Record]:
    draft = state["draft"]
    yield prompt.question(state["plan"].question)
    yield from ({"sub_question": each} for each in state["plan"].sub_questions)
    yield from map(prompt.source, prompt.within_budget(state.get("evidence", []), EVIDENCE_TOKENS))
    for claim in draft.claims:
        quotes = [quote.text for quote in draft.quotes if quote.source_id in claim.source_ids]
        yield {"statement": claim.text, "sources": claim.source_ids, "quotes": quotes[:5]}
