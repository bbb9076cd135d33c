"""Links: what one passage names that another is about: the second hop of a question.

A passage is about its title, and about what the question's words stand near to where another passage names it: for "who
is the father of the film's director", a person counts more who stands beside "directed by".
"""

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import lru_cache

from nodes.text.common import COMMON
from nodes.text.named import names_in
from nodes.text.tokens import READINGS_KEPT, folded, read, words
from state.evidence import Finding

HEADS = 10
"""Best passages that are read for what they name."""

NEAR = 60
"""Characters on each side of a name in which words of the question strengthen it."""

NEAR_MOST = 2
CONTEXT = 0.5
"""What each of at most `NEAR_MOST` words of the question near a name adds to a mention's strength of 1."""

ROOT = 5
"""Letters by which words are kin here: director, directed."""

SHORTEST = 3
"""Letters of a title that can be recognised in a text."""

_BRACKETS = re.compile(r"\s{0,5}\([^()]{0,80}\)$")


@dataclass(frozen=True)
class Head:
    """A passage that is read for what it names.

    Attributes:
        about: Its subject, folded.
        text: Its text, folded.
        wanted: Roots of the question's words that its own title does not have.
        strength: How well it fits the question, from 0 to 1.
    """

    about: str
    text: str
    wanted: frozenset[str]
    strength: float

    def mention(self, subject: str) -> float:
        """How strongly it names a folded subject; 0 when it does not, or when it is its own."""
        at = self.text.find(subject) if subject != self.about else -1
        if at < 0:
            return 0.0
        end = at + len(subject)
        near = self.text[max(0, at - NEAR) : at + 1] + self.text[end - 1 : end + NEAR]
        return self.strength * (1 + CONTEXT * min(NEAR_MOST, len(self.wanted & roots(near.split()))))


def heads(question: str, ranked: Sequence[tuple[float, Finding]]) -> list[Head]:
    """The first of these passages, best first, as heads."""
    top, asked = max((score for score, _ in ranked), default=0.0), roots(words(question))
    return [
        Head(subject_of(found.title), read(found.text).folded, asked - roots(words(found.title)), score / top)
        for score, found in ranked[:HEADS]
        if score > 0
    ]


@lru_cache(maxsize=READINGS_KEPT)
def subject_of(title: str) -> str:
    """What a title stands for, folded: without what it adds in brackets. Empty when there is too little to find."""
    subject = folded(_BRACKETS.sub("", title[:300].rstrip()))
    return subject if len(subject) - 2 >= SHORTEST and subject.strip() not in COMMON else ""


def mentioned(heads: Sequence[Head], subject: str) -> float:
    """How strongly the strongest of the heads names a folded subject."""
    return max((head.mention(subject) for head in heads), default=0.0) if subject else 0.0


def names_to_follow(question: str, ranked: Sequence[tuple[float, Finding]], known: frozenset[str]) -> list[str]:
    """The names in the best passages that are worth looking up, the strongest first.

    Args:
        question: Its own names are not followed.
        ranked: Scored passages, best first.
        known: Folded subjects that were found already.
    """
    asked, strengths = folded(question), dict[str, tuple[float, str]]()
    reading = heads(question, ranked)
    for head, (_, found) in zip(reading, ranked, strict=False):
        for name, subject in _subjects(found.text):
            if subject not in known and subject not in asked and subject not in head.about:
                strengths.setdefault(subject, (head.mention(subject) * _fullness(subject), name))
    return [name for _, name in sorted(strengths.values(), key=lambda entry: -entry[0])]


def roots(found: Sequence[str]) -> frozenset[str]:
    """The beginnings of the words that tell something."""
    return frozenset(word[:ROOT] for word in found if word not in COMMON)


def _subjects(text: str) -> Iterator[tuple[str, str]]:
    return ((name, subject_of(name)) for name in dict.fromkeys(names_in(text)) if subject_of(name))


def _fullness(subject: str) -> float:
    """A full name says more than a single word."""
    return 1.0 if " " in subject.strip() else 0.7
