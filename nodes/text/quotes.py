"""Quotes: the sentences of the evidence that fit the question best, verbatim."""

import re
from collections.abc import Sequence

from nodes.text.scoring import Scorer
from state.evidence import Finding
from state.report import Plan, Quote

QUOTES = 8
_SENTENCE = re.compile(r"[^.!?\n]+[.!?]?")


def pick_quotes(evidence: Sequence[Finding], plan: Plan) -> list[Quote]:
    """At most `QUOTES` sentences, best first."""
    spans = [(f, m) for f in evidence[:20] for m in _SENTENCE.finditer(f.text) if len(m.group().strip()) > 20]
    scores = Scorer.over([(f.title, m.group()) for f, m in spans]).scores(plan.question)
    best = sorted(zip(scores, range(len(spans)), strict=True), key=lambda pair: -pair[0])[:QUOTES]
    return [_quote(*spans[place]) for score, place in best if score > 0]


def _quote(finding: Finding, match: "re.Match[str]") -> Quote:
    text = match.group().strip()
    start = finding.start + finding.text.index(text, match.start())
    return Quote(text=text, source_id=finding.source_id, start=start, end=start + len(text), location=finding.location)
