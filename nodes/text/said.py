"""Said: the sentences of the evidence that state values, and what each of them is said of."""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property

from nodes.text.asked import related
from nodes.text.columns import value_span
from nodes.text.quotable import quotable
from nodes.text.tokens import read, stems
from nodes.text.typed import Typed, typed
from state.evidence import Finding

SPOKEN_OF = 0.6
"""Part of what the question asks about that a sentence must speak of."""


@dataclass(frozen=True)
class Said:
    """One sentence that states values; `quoted` is what a report may quote of it."""

    finding: Finding
    text: str
    values: tuple[Typed, ...]
    quoted: str = ""

    @cached_property
    def stems(self) -> frozenset[str]:
        """Its words."""
        return frozenset(read(self.text).counts)

    @cached_property
    def around(self) -> frozenset[str]:
        """Its words and those of its title."""
        return self.stems | read(self.finding.title).counts.keys()

    @cached_property
    def rest(self) -> frozenset[str]:
        """Its words without the values: what these are said of."""
        kept, last = [], 0
        for value in self.values:
            kept.append(self.text[last : value.start])
            last = max(last, value.end)
        return frozenset(stems(" ".join((*kept, self.text[last:]))))


@dataclass(frozen=True)
class Stated:
    """One value that one source gives; the stronger, the clearer it is that it answers."""

    said: Said
    value: Typed
    unit: str = ""
    strength: float = 0.0

    @property
    def text(self) -> str:
        """The value in the source's words."""
        return " ".join(self.said.text[self.value.start : self.value.end].split())


def said_in(evidence: Iterable[Finding]) -> Iterator[Said]:
    """The sentences with values, best findings first."""
    for finding in evidence:
        for start, end in quotable(finding):
            text = finding.text[start:end]
            if values := typed(text):
                yield Said(finding, text, values, finding.text[slice(*value_span(finding, start, end))])


def spoken_of(about: Sequence[str], said: Said) -> float:
    """The part of what is asked about that the sentence speaks of."""
    return sum(bool(related(word) & said.stems) for word in about) / max(1, len(about))


def by_value(stated: Iterable[Stated]) -> list[list[Stated]]:
    """The statements in groups that agree, in order."""
    groups: list[list[Stated]] = []
    for each in stated:
        agreeing = (group for group in groups if all(one.value.agrees(each.value) for one in group))
        same = next(agreeing, None)
        groups.append([each]) if same is None else same.append(each)
    return groups
