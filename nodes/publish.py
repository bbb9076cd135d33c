"""Publish: the answer, whatever happened before: report, evidence, what is missing and why, what it cost."""

import time
from collections.abc import Mapping, Sequence
from typing import Any

from langgraph.runtime import Runtime

from guards.clean import OUTPUT
from guards.running.attempt import current_attempt
from guards.text.sweep import Wash
from nodes.text import quorum
from nodes.text.report import Parts, markdown
from nodes.write import assemble
from state.answer import Answer, AnswerSource, Limits, Passage
from state.evidence import Finding, Source
from state.guarded import Guarded, Run, join
from state.report import Draft
from state.research import Context, Research

PASSAGES = 100
SOURCES = 500
"""Sources of one answer. Lost files beyond it are left out, never a source that is quoted or was named."""


class Published(Guarded, total=False):
    """What publishing writes."""

    answer: Answer


async def publish(state: Research, runtime: Runtime[Context]) -> Published:
    """Put the answer together from the state as it is; sources that did not answer go into the run's record too."""
    before = state.get("run") or Run()
    sources = quorum.asked(state, before)
    lost = () if before.refusal else tuple(quorum.missing(sources, runtime.context or Context()))
    run = join(before, Run(missing=lost))
    draft = state.get("draft") or await _assembled(state)
    return {"answer": _answer(state, run, draft, sources), "run": Run(missing=lost)}


def unpublished(state: Mapping[str, Any]) -> Answer:
    """The answer of a run whose publishing was lost itself: how it ended, why, and what it cost, and no evidence.

    No node cleans it any more, so it is cleaned here.
    """
    answer = _answer({"question": _text(state, "question")}, state.get("run") or Run(), None, ())
    clean: Answer = Wash(OUTPUT.longest, OUTPUT.most, OUTPUT.deepest, OUTPUT.actions).top("answer", answer)
    return clean


async def _assembled(state: Research) -> Draft | None:
    """The draft of a run that was stopped before it wrote, from what it had found by then."""
    if not state.get("evidence") or not state.get("plan"):
        return None
    return (await assemble(state))["draft"]


def _answer(state: Research, run: Run, draft: Draft | None, sources: Sequence[Source]) -> Answer:
    findings = state.get("evidence") or []
    seconds = max(run.spent.seconds, time.time() - run.started - run.paused) if run.started else run.spent.seconds
    return Answer(
        id=run.id,
        question=_text(state, "question"),
        outcome=run.outcome,
        stop_reason=run.stop_reason,
        mode=draft.mode if draft else "extractive",
        report=_report(state, run, draft),
        claims=draft.claims if draft else (),
        quotes=draft.quotes if draft else (),
        passages=tuple(_passage(finding) for finding in findings[:PASSAGES]),
        sources=tuple(map(_source, _listed(sources, _used(state)))),
        conflicts=tuple(state.get("conflicts") or ()),
        missing=run.missing,
        spent=run.spent.model_copy(update={"seconds": round(seconds, 3)}),
        limits=_limits(),
        ceiling=run.ceiling,
        trace_id=run.trace_id,
    )


def _report(state: Research, run: Run, draft: Draft | None) -> str:
    return markdown(
        Parts(
            question=_text(state, "question"),
            body=draft.text if draft else "",
            draft=draft,
            run=run,
            findings=state.get("evidence") or [],
            review=state.get("review"),
        )
    )


def _text(state: Mapping[str, Any], key: str) -> str:
    """A text of the input, which nobody may have checked yet."""
    value = state.get(key)
    return value if isinstance(value, str) else ""


def _passage(finding: Finding) -> Passage:
    return Passage(
        source_id=finding.source_id,
        title=finding.title,
        location=finding.location,
        score=round(finding.score, 4),
        collector=finding.collector,
    )


def _used(state: Research) -> list[Source]:
    """The sources of the evidence, then those of its copies, which may be cited too."""
    evidence = state.get("evidence") or []
    found = {finding.source_id: finding for each in state.get("collected") or () for finding in each.findings}
    copies = [found[id] for finding in evidence for id in finding.also if id in found]
    return [Source(id=f.source_id, kind=f.kind, place=f.place, title=f.title) for f in (*evidence, *copies)]


def _listed(asked: Sequence[Source], used: Sequence[Source]) -> list[Source]:
    """What was asked, then what was found, each once, at most `SOURCES`."""
    room = max(0, SOURCES - len({source.id for source in used}))
    listed: dict[str, Source] = {}
    for source in (*asked[:room], *used):
        listed.setdefault(source.id, source)
    return list(listed.values())[:SOURCES]


def _source(source: Source) -> AnswerSource:
    web = source.kind == "web"
    return AnswerSource(
        id=source.id,
        kind=source.kind,
        path=None if web else source.place,
        url=source.place if web else None,
        title=source.title,
        status=source.status,
        reason=source.reason,
        seconds=source.seconds,
    )


def _limits() -> Limits:
    """The limits that this run is under; none outside a guard."""
    attempt = current_attempt.get()
    if attempt is None:
        return Limits()
    policy = attempt.scope.policy
    return Limits(
        calls=policy.calls, tokens=policy.tokens, dollars=policy.dollars, seconds=policy.seconds, rounds=policy.rounds
    )
