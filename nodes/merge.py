"""Merge: one ranked list of evidence from what all collectors found, scored by one scorer over the union."""

from typing_extensions import TypedDict

from nodes.text.scoring import Scorer
from state.evidence import Finding
from state.report import Conflict
from state.research import Gathered

EVIDENCE = 40


class Merged(TypedDict):
    """What merging writes."""

    evidence: list[Finding]
    conflicts: list[Conflict]


async def merge(state: Gathered) -> Merged:
    """Rank the union of all findings, best first."""
    findings = {(f.source_id, f.start): f for c in state.get("collected", []) for f in c.findings}
    union = list(findings.values())
    scores = Scorer.over([(f.title, f.text) for f in union]).scores(state["question"])
    ranked = [f.model_copy(update={"score": s}) for s, f in zip(scores, union, strict=True) if s > 0]
    return {"evidence": sorted(ranked, key=lambda f: -f.score)[:EVIDENCE], "conflicts": []}
