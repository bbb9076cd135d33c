"""Write: the report's body. A model states and quotes, code verifies and renders; without a model it is assembled.

What does not verify is taken out and listed in `removed`. A source that was never given makes the run partial.
"""

import asyncio
from collections.abc import Container, Iterator, Sequence

from langgraph.runtime import Runtime
from pydantic import BaseModel, Field

from guards.as_data import Record
from guards.errors import Permanent
from nodes import prompt
from nodes.judge import beside
from nodes.models import ask, wanted
from nodes.text import body
from nodes.text.cite import Checked, Statement, check
from nodes.text.quorum import named
from state.evidence import Finding
from state.guarded import Guarded, Missing, Run
from state.report import Conflict, Draft, Plan, Quote
from state.research import Brief, Context

PROMPT = """You are the writer of a research pipeline. Answer from the given sources only.
State what they say, one sentence a statement; the first statement answers the question as directly as they allow. Each
statement names the ids of its sources and quotes them word for word, copied exactly. When sources disagree, state every
side with its source and choose none. When they do not answer a sub-question, leave it out. Records named `objection`
are the reviewer's: meet them; `statement` is what you wrote before."""


class Report(BaseModel):
    """What the sources say."""

    claims: list[Statement] = Field(description="The first one answers the question.")


class Written(Guarded, total=False):
    """What writing writes."""

    draft: Draft
    conflicts: list[Conflict]


async def write(state: Brief, runtime: Runtime[Context]) -> Written:
    """Let a model write and keep what verifies; nothing to write about, or no model: assemble.

    Raises:
        Permanent: Nothing that the model cited exists; also what `nodes.models.ask` raises.
    """
    evidence = prompt.within_budget(state.get("evidence", []))
    if not evidence or not wanted(runtime.context):
        return await assemble(state)
    asked = prompt.messages(PROMPT, *_records(state, evidence))
    async with beside(state.get("conflicts", []), runtime.context) as judging:
        report = await ask("writer", runtime.context, Report, asked)
        conflicts, missing = await judging
    checked = check(report.claims, evidence, state["plan"].sub_questions)
    if not checked.claims:
        raise Permanent(_nothing_verified(checked))
    return {
        "draft": _draft(checked, conflicts, state["plan"].sub_questions, body.suspicious(evidence)),
        "conflicts": conflicts,
        "run": Run(missing=(*missing, *_invented(checked))),
    }


async def assemble(state: Brief) -> Written:
    """The report that needs no model: verbatim quotes, grouped values, what has no evidence."""
    sub_questions, evidence = state["plan"].sub_questions, state.get("evidence", [])
    conflicts = state.get("conflicts", [])
    quotes = tuple(await asyncio.to_thread(_quoted, evidence, state["plan"], conflicts)) if evidence else ()
    text = body.assembled(quotes, sub_questions, conflicts) if quotes else _nothing_found(state)
    answered, without = _split(sub_questions, {quote.sub_question for quote in quotes})
    return {
        "draft": Draft(
            mode="extractive",
            text=body.joined(text, body.unanswered(without), body.suspicious(evidence)),
            quotes=quotes,
            answered=answered,
            unanswered=without,
        )
    }


def _quoted(evidence: Sequence[Finding], plan: Plan, conflicts: Sequence[Conflict]) -> list[Quote]:
    from nodes.text.quotes import pick_quotes  # its many patterns are compiled when they are needed, off the loop

    return pick_quotes(evidence, plan, conflicts)


def _nothing_found(state: Brief) -> str:
    if state.get("run", Run()).ending:
        return "No evidence was found before the run ended."
    return f"No evidence found in {', '.join(map(body.escaped, named(state))) or 'any source: none was named'}."


def _nothing_verified(checked: Checked) -> str:
    if checked.invented:
        return f"the writer's model cited only sources that do not exist: {', '.join(checked.invented[:5])}"
    if checked.removed:
        return "the writer's model quoted nothing that its sources contain"
    return "the writer's model made no statement"


def _draft(checked: Checked, conflicts: Sequence[Conflict], sub_questions: Sequence[str], warning: str) -> Draft:
    answered, without = _split(sub_questions, {claim.sub_question for claim in checked.claims})
    text = body.written(checked.told, sub_questions)
    return Draft(
        mode="model",
        text=body.joined(text, body.different_values(conflicts), body.unanswered(without), warning),
        claims=checked.claims,
        quotes=checked.quotes,
        answered=answered,
        unanswered=without,
        removed=tuple(checked.removed),
    )


def _split(sub_questions: Sequence[str], found: Container[str]) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """The sub-questions with evidence and those without."""
    return tuple(q for q in sub_questions if q in found), tuple(q for q in sub_questions if q not in found)


def _invented(checked: Checked) -> tuple[Missing, ...]:
    """What the run's record says of citations of sources that were never given."""
    sources = tuple(dict.fromkeys(checked.invented))
    if not sources:
        return ()
    reason = f"cited {len(sources)} source(s) that do not exist, taken out: {', '.join(sources[:5])}"
    return (Missing(what="citations", reason=reason),)


def _records(state: Brief, evidence: Sequence[Finding]) -> Iterator[Record]:
    """The question, its parts, the evidence and, from the second round on, the last draft and the objections to it."""
    yield prompt.question(state["plan"].question)
    yield from ({"sub_question": each} for each in state["plan"].sub_questions)
    yield from map(prompt.source, evidence)
    review, draft = state.get("review"), state.get("draft")
    if review is not None and draft is not None and not review.approved:
        yield from ({"statement": claim.text, "sources": claim.source_ids} for claim in draft.claims[:20])
        yield from ({"objection": reason} for reason in review.reasons)
