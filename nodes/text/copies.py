"""Copies: sentences of different sources that are alike but for one value."""

from collections.abc import Iterator, Sequence

from nodes.text.asked import Asked, stems_of
from nodes.text.said import SPOKEN_OF, Said, Stated, spoken_of

COPIES = 60
"""Sentences that are compared with each other."""

ALIKE = 0.75
"""Part of their words that near-copies share, their values left out."""

FEWEST_WORDS = 4
"""Words of a near-copy; fewer are alike by chance."""


def copies(asked: Asked, said: Sequence[Said]) -> Iterator[list[Stated]]:
    """Sentences of different sources that are alike but for one value, and speak of the question's matter."""
    close = [one for one in said if _matters(asked, one) and len(one.rest) >= FEWEST_WORDS][:COPIES]
    while close:
        first, *others = close
        alike = [(other, place) for other in others if (place := _differing(first, other)) >= 0]
        for place in sorted({place for _, place in alike}):
            yield [Stated(one, one.values[place]) for one in (first, *(other for other, at in alike if at == place))]
        taken = {id(other) for other, _ in alike}
        close = [other for other in others if id(other) not in taken]


def _matters(asked: Asked, said: Said) -> bool:
    """The sentence speaks of what is asked about, or states such a value, and of what is named."""
    names = frozenset[str]().union(*map(stems_of, asked.names))
    if not names <= said.around:
        return False
    if any(wanted.about and spoken_of(wanted.about, said) >= SPOKEN_OF for wanted in asked.wanted):
        return True
    if not asked.wanted:
        return bool(asked.about) and spoken_of(asked.about, said) >= SPOKEN_OF
    kinds = {value.kind for value in said.values} & {wanted.kind for wanted in asked.wanted if not wanted.unit}
    return bool(names and kinds) and names <= said.stems and said.text.endswith((".", "!", "?"))


def _differing(one: Said, other: Said) -> int:
    """Which one of their values differs in two sentences that are alike; -1 when they are not, or differ in more."""
    if one.finding.source_id == other.finding.source_id or len(one.values) != len(other.values):
        return -1
    if _alike(one, other) < ALIKE:
        return -1
    pairs = list(zip(one.values, other.values, strict=True))
    unequal = [place for place, (a, b) in enumerate(pairs) if a.kind != b.kind or not a.agrees(b)]
    same_kind = all(a.kind == b.kind and a.units[:1] == b.units[:1] for a, b in pairs)
    return unequal[0] if same_kind and len(unequal) == 1 else -1


def _alike(one: Said, other: Said) -> float:
    return len(one.rest & other.rest) / max(1, len(one.rest | other.rest))
