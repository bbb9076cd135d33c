"""Ranking: the candidates of all collectors in one order: one scorer, soft boosts for what is named, links.

A passage's score is its BM25 as a part of the best one's, mostly that of its whole source as far as it was found, and
what is added to it. Nothing is filtered out: a rule that errs must cost little. `NAMED`: the question names its title
or file. `LINKED`: the best passages name its title. `PHRASES`: its source holds the question's names word for word,
rare ones more. `ABOUT`: its path, or the beginning of its long document, holds all of them. `DATED`: it is of a date
that is asked for. `FIELD`: a short line at its source's beginning, as "source: The Verge", says what the question
says. The weights are round numbers, chosen on development rows.
"""

import math
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from functools import lru_cache

from nodes.text.links import heads, mentioned, subject_of
from nodes.text.scoring import Scorer
from nodes.text.tokens import folded, read
from state.evidence import Finding
from state.report import Plan

WIDE = 0.9
"""How much of a passage's BM25 is that of its whole source: what it is about may stand in the passage before."""

NAMED = 1.0
LINKED = 0.6
PHRASES = 0.35
ABOUT = 0.6
DATED = 0.3
FIELD = 0.2
FIELDS_WITHIN = 300
"""Characters of a source in which its fields stand."""

FIELD_CHARACTERS = 60
AGAIN = 0.8
"""What each further passage of a source keeps of its score, so that several sources are seen."""

ALL = 0.99
"""The part of the question's names that is all of them, rounding aside."""

Scored = tuple[float, Finding]


def rank(candidates: Sequence[Finding], plan: Plan) -> list[Finding]:
    """The candidates, best first, each with its score; none when no one fits at all."""
    base = _base(candidates, plan)
    asked = folded(plan.question)
    named = [NAMED * _is_named(found, asked, plan.files) for found in candidates]
    reading = heads(plan.question, _sorted(map(sum, zip(base, named, strict=True)), candidates))
    linked = (LINKED * mentioned(reading, subject_of(found.title)) for found in candidates)
    scores = (b + max(n, k) for b, n, k in zip(base, named, linked, strict=True))
    ranked = _sorted(scores, candidates)
    if not ranked or ranked[0][0] <= 0:
        return []
    return [found.model_copy(update={"score": round(score, 6)}) for score, found in ranked]


def spread(ranked: Sequence[Finding], most: int) -> list[Finding]:
    """The best `most` passages, each further one of a source after what is nearly as good from others."""
    seen: Counter[str] = Counter()
    counted = []
    for found in ranked:
        counted.append((found.score * AGAIN ** seen[found.source_id], found))
        seen[found.source_id] += 1
    counted.sort(key=lambda entry: -entry[0])
    return [found.model_copy(update={"score": round(score, 6)}) for score, found in counted[:most]]


def _base(candidates: Sequence[Finding], plan: Plan) -> list[float]:
    """What a passage scores by itself and its source: words, names and dates."""
    whole = _wholes(candidates)
    titles = [f"{found.title} {found.about}" for found in candidates]
    wholes = [whole[found.source_id] for found in candidates]
    texts = [found.text for found in candidates]
    narrow = _fits(titles, texts, plan.question)
    wide = narrow if texts == wholes else _fits(titles, wholes, plan.question)
    phrases = _held([f"{read(t).folded}{read(w).folded}" for t, w in zip(titles, wholes, strict=True)], plan.names)
    about = _held([read(found.about).folded for found in candidates], plan.names)
    dated = (any(_is_of(found, date) for date in plan.dates) for found in candidates)
    fielded = _fielded(candidates, whole, folded(plan.question))
    return [
        (1 - WIDE) * n + WIDE * w + PHRASES * p + ABOUT * (a > ALL) + DATED * d + FIELD * f
        for n, w, p, a, d, f in zip(narrow, wide, phrases, about, dated, fielded, strict=True)
    ]


def _fielded(candidates: Sequence[Finding], whole: Mapping[str, str], asked: str) -> list[bool]:
    """Whether a field of its source says what is asked; a collector whose sources have none is not put behind."""
    titles = {found.source_id: found.title for found in candidates}
    named = {id: any(_folded(each) in asked for each in _fields(text, titles[id])) for id, text in whole.items()}
    telling = {found.collector for found in candidates if named[found.source_id]}
    return [bool(telling) and (named[f.source_id] or f.collector not in telling) for f in candidates]


def _fields(text: str, title: str) -> Iterator[str]:
    """The short lines that a text begins with, without their labels; its title is none."""
    for line in text[:FIELDS_WITHIN].split("\n"):
        field = line.rpartition(": ")[2].strip()
        if len(field) <= FIELD_CHARACTERS and field[:1].isalpha() and field != title:
            yield field


_folded = lru_cache(maxsize=4_096)(folded)
"""Fields come again and again."""


def _wholes(candidates: Sequence[Finding]) -> dict[str, str]:
    """What was found of each source, in its order."""
    parts: dict[str, list[str]] = {}
    for found in sorted(candidates, key=lambda found: found.start):
        parts.setdefault(found.source_id, []).append(found.text)
    return {source: "\n".join(texts) for source, texts in parts.items()}


def _fits(titles: Sequence[str], texts: Sequence[str], question: str) -> list[float]:
    """BM25 as a part of the best one's."""
    scores = Scorer.over(list(zip(titles, texts, strict=True))).scores(question)
    best = max(scores, default=0.0) or 1.0
    return [score / best for score in scores]


def _held(texts: Sequence[str], names: Sequence[str]) -> list[float]:
    """The part of the question's names that each text holds, each name weighed by how rare it is among them."""
    subjects = set(map(subject_of, names)) - {""}
    held = [[subject for subject in subjects if subject in text] for text in texts]
    holding = Counter(subject for each in held for subject in each)
    weights = {subject: math.log(1 + len(texts) / (1 + n)) for subject, n in holding.items()}
    total = sum(weights.values()) or 1.0
    return [sum(weights[subject] for subject in each) / total for each in held]


def _is_named(found: Finding, asked: str, files: Sequence[str]) -> bool:
    """Whether the question says the passage's title or its file."""
    subject = subject_of(found.title)
    if subject and subject in asked:
        return True
    return any(found.place.endswith(file) or found.source_id.endswith(file) for file in files)


def _is_of(found: Finding, date: str) -> bool:
    """Whether a passage is of a date: by its own, or by its name, which may say a quarter."""
    name = folded(f"{found.source_id} {found.title}")
    return found.date.startswith(date) or all(f" {word} " in name for word in date.lower().replace("-", " ").split())


def _sorted(scores: Iterable[float], candidates: Sequence[Finding]) -> list[Scored]:
    return sorted(zip(scores, candidates, strict=True), key=lambda entry: -entry[0])
