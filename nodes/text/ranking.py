"""Ranking: the candidates of all collectors in one order: one scorer, soft boosts for what is named, links.

A passage's score is its BM25 as a part of the best one's, and what is added, at most:
`NAMED` when the question names its title, or else `LINKED` × how strongly the best passages name it;
`PHRASES` for the part of the question's names that it holds, word for word, rare ones more;
`DATED` for the part of the question's dates that it is of. Nothing is filtered out: a rule that errs must cost little.
"""

import math
from collections import Counter
from collections.abc import Sequence

from nodes.text.links import heads, mentioned, subject_of
from nodes.text.scoring import Scorer
from nodes.text.tokens import folded, read
from state.evidence import Finding
from state.report import Plan

NAMED = 1.0
ABOUT = 0.6
LINKED = 0.6
PHRASES = 0.35
DATED = 0.3
WIDE = 0.9
AGAIN = 0.95
"""What each further passage of a source keeps of its score, so that several sources are seen."""

Scored = tuple[float, Finding]


def rank(candidates: Sequence[Finding], plan: Plan) -> list[Finding]:
    """The candidates that fit at all, best first, each with its score."""
    whole = _wholes(candidates)
    begins = [f"{found.title} {found.about}" for found in candidates]
    fits = _fits(begins, [found.text for found in candidates], plan.question)
    wide = _fits(begins, [whole[found.source_id] for found in candidates], plan.question)
    texts = [
        f"{read(begin).folded}{read(whole[f.source_id]).folded}" for begin, f in zip(begins, candidates, strict=True)
    ]
    about = _held([read(found.about).folded for found in candidates], plan.names)
    phrases = _held(texts, plan.names)
    dated = [_dated(found, plan.dates) for found in candidates]
    asked = folded(plan.question)
    named = [_named(found, asked, plan.files) for found in candidates]
    base = [
        (1 - WIDE) * f + WIDE * w + PHRASES * p + DATED * d + ABOUT * (a > 0.99)
        for f, w, p, d, a in zip(fits, wide, phrases, dated, about, strict=True)
    ]
    first = _sorted(zip((b + NAMED * n for b, n in zip(base, named, strict=True)), candidates, strict=True))
    reading = heads(plan.question, first)
    linked = [mentioned(reading, subject_of(found.title)) for found in candidates]
    scores = (b + max(NAMED * n, LINKED * k) for b, n, k in zip(base, named, linked, strict=True))
    return _spread(_sorted(zip(scores, candidates, strict=True)))


def _wholes(candidates: Sequence[Finding]) -> dict[str, str]:
    """What was found of each source, in its order."""
    parts: dict[str, list[Finding]] = {}
    for found in sorted(candidates, key=lambda found: found.start):
        parts.setdefault(found.source_id, []).append(found)
    return {source: "\n".join(found.text for found in of_it) for source, of_it in parts.items()}


def _fits(begins: Sequence[str], texts: Sequence[str], question: str) -> list[float]:
    """BM25 as a part of the best one's."""
    return _relative(Scorer.over(list(zip(begins, texts, strict=True))).scores(question))


def _relative(scores: Sequence[float]) -> list[float]:
    best = max(scores, default=0.0) or 1.0
    return [score / best for score in scores]


def _named(found: Finding, asked: str, files: Sequence[str]) -> float:
    """1 when the question says the passage's title or its file."""
    subject = subject_of(found.title)
    if subject and subject in asked:
        return 1.0
    return float(any(found.place.endswith(file) or found.source_id.endswith(file) for file in files))


def _held(texts: Sequence[str], names: Sequence[str]) -> list[float]:
    """The part of the question's names that each text holds, each name weighed by how rare it is among them."""
    subjects = [subject for subject in dict.fromkeys(map(subject_of, names)) if subject]
    held = [[subject for subject in subjects if subject in text] for text in texts]
    holding = Counter(subject for each in held for subject in each)
    weights = {subject: math.log(1 + len(texts) / (1 + n)) for subject, n in holding.items()}
    total = sum(weights.values()) or 1.0
    return [sum(weights[subject] for subject in each) / total for each in held]


def _dated(found: Finding, dates: Sequence[str]) -> float:
    """The part of the dates that the passage is of: by its date, its text, or its file's name."""
    if not dates:
        return 0.0
    name = folded(f"{found.source_id} {found.title}")
    return float(any(_is_of(found, name, date) for date in dates))


def _is_of(found: Finding, name: str, date: str) -> bool:
    return found.date.startswith(date) or all(f" {w} " in name for w in date.lower().replace("-", " ").split())


def _sorted(scored: "zip[tuple[float, Finding]]") -> list[Scored]:
    return sorted(scored, key=lambda entry: -entry[0])


def _spread(ranked: Sequence[Scored]) -> list[Finding]:
    """Each further passage of a source counts a little less than the one before."""
    seen: Counter[str] = Counter()
    spread = []
    for score, found in ranked:
        if score > 0:
            spread.append(found.model_copy(update={"score": round(score * AGAIN ** seen[found.source_id], 6)}))
            seen[found.source_id] += 1
    return sorted(spread, key=lambda found: -found.score)
