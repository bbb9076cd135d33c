"""Documents as the index takes them, and the cut into passages with exact offsets."""

import re
from bisect import bisect_right
from collections.abc import Iterator
from dataclasses import dataclass, replace

from guards.text.masked import masked
from nodes.text.named import names_in

PASSAGE = 1_200
"""Characters that a passage aims at."""

LONGEST = 1_500
LONG = 6_000
"""Characters from which a document is long: its passages do not say by themselves what they are about."""

BEGINNING = 1_000
ABOUT_CHARACTERS = 400
SHORTEST = 400
BREAKS = ("\n\n", "\n", ". ", " ")
"""Where a passage may end, best first."""

_DATE = re.compile(r"(?<!\d)(\d{4}-\d{2}-\d{2})(?!\d)")
_FRONT = re.compile(r"^(?:date|published|updated):\s*[\"']?(\d{4}-\d{2}-\d{2})", re.IGNORECASE | re.MULTILINE)


@dataclass(frozen=True)
class Hit:
    """One passage that was found: `text` stands in its document from `start` on."""

    name: str
    title: str
    date: str
    start: int
    location: str
    text: str
    score: float = 0.0
    about: str = ""


@dataclass(frozen=True)
class Document:
    """One source's text.

    Attributes:
        name: Its id within its root: a relative path, `table/rowid`.
        title: What it is called.
        text: Its stored text; quotes are substrings of it.
        date: ISO date, empty when unknown.
        unit: What `marks` count: "line", "page", "row"; empty: `fixed` is the location.
        marks: Offsets where each unit begins.
        fixed: The location when there is just one.
        note: What of it was not read, and why; empty: it was read whole.
    """

    name: str
    title: str
    text: str
    date: str = ""
    unit: str = "line"
    marks: tuple[int, ...] = ()
    fixed: str = ""
    note: str = ""

    def location(self, offset: int) -> str:
        """Where an offset stands: 'line 12', 'page 3'."""
        return self.fixed or f"{self.unit} {max(1, bisect_right(self.marks, offset))}"


def without_secrets(document: Document) -> Document:
    """The document as it may be kept: cards, addresses and secrets masked, every place where it was."""
    whole = f"{document.title}\n{document.text}"
    if masked(whole) is whole:
        return document
    return replace(document, text=masked(document.text), title=masked(document.title))


def line_marks(text: str) -> tuple[int, ...]:
    """Offsets of the lines' beginnings."""
    return (0, *(match.end() for match in re.finditer("\n", text)))


def passages(text: str, target: int = PASSAGE) -> Iterator[tuple[int, int]]:
    """Cut a text into (start, end) spans of about `target` characters, at paragraphs where that is possible."""
    start, length = 0, len(text)
    while start < length:
        end = length if length - start <= LONGEST else _cut(text, start, target)
        first, last = _trimmed(text, start, end)
        if first < last:
            yield first, last
        start = end


def _cut(text: str, start: int, target: int) -> int:
    for mark in BREAKS:
        end = text.rfind(mark, start + SHORTEST, start + target)
        if end >= 0:
            return end + len(mark)
    return start + target


def _trimmed(text: str, start: int, end: int) -> tuple[int, int]:
    span = text[start:end]
    return start + len(span) - len(span.lstrip()), end - len(span) + len(span.rstrip())


def about(text: str) -> str:
    """The names at the beginning of a long document: what its later passages are about without saying so."""
    return " ".join(dict.fromkeys(names_in(text[:BEGINNING])))[:ABOUT_CHARACTERS]


def date_of(name: str, text: str) -> str:
    """An ISO date that the name or the first lines state, else nothing."""
    head = text[:1_000]
    found = _DATE.search(name) or (_FRONT.search(head) if ":" in head else None)
    return found.group(1) if found else ""
