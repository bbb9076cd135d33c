"""Publish: the answer, whatever happened before: report, evidence, what is missing and why, what it cost."""

from typing_extensions import TypedDict

from state.answer import Answer, AnswerSource, Passage
from state.guarded import Run
from state.research import Research


class Published(TypedDict):
    """What publishing writes."""

    answer: Answer


async def publish(state: Research) -> Published:
    """Put the answer together from the state as it is."""
    run, draft = state.get("run", Run()), state.get("draft")
    sources = {s.id: s for c in state.get("collected", []) for s in c.sources}
    return {
        "answer": Answer(
            question=state.get("question", ""),
            outcome=run.outcome,
            stop_reason=run.stop_reason,
            mode=draft.mode if draft else "extractive",
            report=draft.text if draft else f"Stopped: {run.stop_reason}",
            claims=draft.claims if draft else (),
            quotes=draft.quotes if draft else (),
            passages=tuple(
                Passage(source_id=f.source_id, title=f.title, location=f.location, score=f.score, collector=f.collector)
                for f in state.get("evidence", [])
            ),
            sources=tuple(
                AnswerSource(id=s.id, kind=s.kind, path=s.place, status=s.status, reason=s.reason, seconds=s.seconds)
                for s in sources.values()
            ),
            conflicts=tuple(state.get("conflicts", [])),
            missing=run.missing,
            spent=run.spent,
            trace_id=run.trace_id,
        )
    }
