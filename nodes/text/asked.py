"""Asked: what a question wants to know: the values that answer it, what it names, words that mean the same."""

import re
from collections.abc import Iterator
from dataclasses import dataclass

from nodes.text.common import COMMON
from nodes.text.named import names_in
from nodes.text.tokens import stem, words
from nodes.text.typed import Kind

CHARACTERS = 4_000

_FAMILIES = (
    "cost price expensive",
    "long length",
    "high height tall elevation",
    "wide width",
    "deep depth",
    "old age",
    "fast speed",
    "heavy weight mass",
    "large big size area",
    "far distance",
    "population people inhabitants residents persons",
    "fare ticket",
    "open opened opening inaugurated",
    "founded founding established created formed started",
    "built build builder construction constructed completed erected",
    "born birth birthday",
    "died death dead",
    "released release premiered premiere aired published",
)
RELATED = {stem(word): frozenset(map(stem, family.split())) for family in _FAMILIES for word in family.split()}
"""Stems of words that ask for the same value or state it."""

_MEASURES = frozenset(
    "cost price long length high height tall elevation wide width deep depth old age fast speed heavy weight mass area "
    "size far distance population percent percentage rate fare salary budget revenue profit number temperature".split()
)
_WHEN = re.compile(r"\bwhen\b|\b(?:what|which) (?:year|date|day|month)\b|\b(?:date|year) of\b", re.IGNORECASE)
_COUNT = re.compile(r"\bhow (?:many|much) (\w+)", re.IGNORECASE)
_NO_VALUE = re.compile(r"\b(?:why|who|whose|whom|where)\b", re.IGNORECASE)
_CLAUSES = re.compile(r"[,;:?]\s?|\band\b", re.IGNORECASE)
YEAR = re.compile(r"\b[12]\d{3}\b")
_SAYS = frozenset(map(stem, "source sources document documents file files report reports paper papers".split()))
_DIFFER = frozenset(map(stem, "disagree disagrees differ differs contradict contradicts conflict conflicting".split()))


@dataclass(frozen=True)
class Wanted:
    """One value that a question asks for.

    Attributes:
        kind: A date or an amount.
        about: Stems of what it is a value of, names left out; each stands for its relatives too.
        unit: Stem of what is counted, empty when it is not said.
        words: The same in the question's own words, for a person.
    """

    kind: Kind
    about: tuple[str, ...]
    unit: str
    words: str


@dataclass(frozen=True)
class Asked:
    """A question as the rules read it.

    Attributes:
        text: The question without words about its sources.
        wanted: The values that answer it, in order.
        names: The things that it names, as they stand there; not a single word that merely opens it.
        about: Stems of what it asks about, names left out.
        years: The years that it names.
    """

    text: str
    wanted: tuple[Wanted, ...]
    about: tuple[str, ...]
    names: tuple[str, ...]
    years: frozenset[str]


def read_question(question: str) -> Asked:
    """Read a question; its first 4,000 characters."""
    text = _without_talk_of_sources(question[:CHARACTERS])
    names = tuple(name for name in dict.fromkeys(names_in(text)) if " " in name or not text.startswith(name))
    named = {stem(word) for name in names for word in words(name)}
    wanted = tuple(value for clause in _CLAUSES.split(text) for value in _wanted(clause, named))
    return Asked(text, wanted, _about(text, named), names, frozenset(YEAR.findall(text)))


def related(word: str) -> frozenset[str]:
    """A stem and those that ask for the same."""
    return RELATED.get(word, frozenset((word,)))


def stems_of(name: str) -> frozenset[str]:
    """The stems of a name's words."""
    return frozenset(stem(word) for word in words(name))


def _wanted(clause: str, named: set[str]) -> Iterator[Wanted]:
    about = _about(clause, named)
    count = _COUNT.search(clause)
    measured = [word for word in words(clause) if word in _MEASURES or word.rstrip("s") in _MEASURES]
    spoken = " ".join(word for word in words(clause) if stem(word) in about)
    if _WHEN.search(clause):
        yield Wanted("date", about, "", spoken)
    elif count and not measured:
        yield Wanted("number", about, stem(count.group(1).lower()), spoken)
    elif measured and not _NO_VALUE.search(clause):
        yield Wanted("number", about, "", spoken)


def _about(text: str, named: set[str]) -> tuple[str, ...]:
    """The stems of the telling words that are neither names nor years."""
    telling = (word for word in words(text) if word not in COMMON and not YEAR.fullmatch(word))
    return tuple(dict.fromkeys(stem(word) for word in telling if stem(word) not in named))


def _without_talk_of_sources(question: str) -> str:
    """`Which sources disagree about X?` asks about X."""
    stems = {stem(word) for word in words(question)}
    if not (stems & _SAYS and stems & _DIFFER):
        return question
    return " ".join(word for word in question.split() if not {stem(w) for w in words(word)} & (_SAYS | _DIFFER))
