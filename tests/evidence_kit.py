"""Findings and states that the tests of merging share."""

from collections.abc import Iterable

from state.evidence import Collected, Finding
from state.research import Gathered


def found(text: str, source_id: str = "a.md", **more: object) -> Finding:
    """A finding whose place follows from its source."""
    start = int(str(more.pop("start", 0)))
    given = {"kind": "file", "collector": "documents", "place": f"/docs/{source_id}", **more}
    return Finding(source_id=source_id, text=text, start=start, end=start + len(text), **given)  # type: ignore[arg-type]


def collected(findings: Iterable[Finding] = (), collector: str = "documents", **more: object) -> Collected:
    """What one collector brings."""
    return Collected(collector=collector, findings=tuple(findings), **more)  # type: ignore[arg-type]


def gathered(question: str, *several: Collected) -> Gathered:
    """The state that merge reads."""
    return {"question": question, "collected": list(several)}
