"""Duplicates: copies of a passage become one, which keeps the ids of the others.

Two passages are copies when their words are the same, or nearly so and every value in them is: each number, each
capitalised word, each "not". Without this guard contradictions are deleted: of 135 pairs of passages that were alike by
0.9 or more, 123 stated different answers (measured).
"""

import re
from collections import Counter, defaultdict
from collections.abc import Sequence
from functools import lru_cache

from nodes.text.tokens import LONGEST, READINGS_KEPT, read
from state.evidence import Finding

ALIKE = 90.0
"""Percent of likeness from which texts with equal values are copies (rapidfuzz's ratio)."""

_TOKEN = re.compile(r"[-−+$€£¥]?\w+(?:[.,:/]\d+)*%?")
_QUICK = re.compile(r"\d+|\b[A-Z]\w*")
_COUNTING = frozenset(
    "no not never none nor neither without zero one two three four five six seven eight nine ten eleven twelve dozen "
    "hundred thousand million billion trillion half third quarter double twice first second last more less fewer least "
    "most before after until since above below over under increased decreased rose fell".split()
)

Values = tuple[str, ...]


def collapse(findings: Sequence[Finding]) -> list[Finding]:
    """The findings without copies, in their order; the first of several copies stays and names the others in `also`.

    Args:
        findings: Best first. The cost grows with the number of those that state the same values.
    """
    kept: list[Finding] = []
    copies: dict[int, list[str]] = defaultdict(list)
    by_values: dict[Values, list[int]] = defaultdict(list)
    marks = [_marks(finding.text) for finding in findings]
    sharing = Counter(marks)
    for finding, mark in zip(findings, marks, strict=True):
        alike = by_values[mark if sharing[mark] == 1 else values(finding.text)]
        place = next((place for place in alike if _same(kept[place].text, finding.text)), None)
        if place is None:
            alike.append(len(kept))
            kept.append(finding)
        else:
            copies[place] += [finding.source_id, *finding.also]
    return [_with_copies(finding, copies.get(place, [])) for place, finding in enumerate(kept)]


def values(text: str) -> Values:
    """What must be equal in copies, in the same order: numbers, capitalised words, words that count or deny."""
    return tuple(token for token in _TOKEN.findall(text[:LONGEST]) if _tells(token))


@lru_cache(maxsize=READINGS_KEPT)
def _marks(text: str) -> Values:
    """The values that are quickly read; they differ in most passages that are no copies."""
    return tuple(_QUICK.findall(text[:LONGEST]))


def _tells(token: str) -> bool:
    return token[0].isupper() or not token.isalpha() or token in _COUNTING


def _same(one: str, other: str) -> bool:
    from rapidfuzz import fuzz

    return one == other or fuzz.ratio(read(one).folded, read(other).folded, score_cutoff=ALIKE) >= ALIKE


def _with_copies(finding: Finding, copies: Sequence[str]) -> Finding:
    also = tuple(dict.fromkeys(each for each in (*finding.also, *copies) if each != finding.source_id))
    return finding if also == finding.also else finding.model_copy(update={"also": also})
