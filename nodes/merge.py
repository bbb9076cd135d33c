"""Merge: one ranked list of evidence from what all collectors found: one scorer over the union, copies made one."""

import asyncio

from typing_extensions import TypedDict

from guards.clean import scan
from nodes.text.duplicates import collapse
from nodes.text.named import read_plan
from nodes.text.ranking import rank, spread
from state.evidence import Finding
from state.report import Plan
from state.research import Gathered

EVIDENCE = 40
"""Passages that are kept."""

CANDIDATES = 400
"""Passages that are compared: the first of each collector and round."""

READ_ASIDE = 50
"""From so many passages on, a thread ranks them: the event loop is not held up."""


class Merged(TypedDict):
    """What merging writes."""

    evidence: list[Finding]


async def merge(state: Gathered) -> Merged:
    """Rank the union of all findings, best first; a collector that failed only adds nothing."""
    plan = state.get("plan") or read_plan(state["question"])
    candidates, before = union(state), state.get("evidence") or []
    if len(candidates) < READ_ASIDE:
        return {"evidence": marked(best(candidates, plan), before)}
    return {"evidence": await asyncio.to_thread(lambda: marked(best(candidates, plan), before))}


def union(state: Gathered) -> list[Finding]:
    """Every passage that was found, once."""
    found = {(f.source_id, f.start, f.end): f for c in reversed(state.get("collected", [])) for f in c.findings}
    return list(found.values())[:CANDIDATES]


def marked(evidence: list[Finding], before: list[Finding]) -> list[Finding]:
    """The evidence, each text of it that tries to give orders marked; it stays data. What was looked at is known."""
    known = {(f.source_id, f.start, f.end): f.suspicious for f in before}

    def look(found: Finding) -> Finding:
        place = found.source_id, found.start, found.end
        order = known[place] if place in known else scan(found.text)
        return found.model_copy(update={"suspicious": order}) if order else found

    return list(map(look, evidence))


def best(candidates: list[Finding], plan: Plan) -> list[Finding]:
    """The best `EVIDENCE` of them, copies made one."""
    return spread(collapse(rank(candidates, plan)), EVIDENCE)
