"""Sentences: where each sentence of a text stands. Nothing is changed, only cut, so every span is exact.

A line may be a heading, a list item, a row of a table, a `column: value` of a database row, an entry of a diary, or
prose that was wrapped. Wrapped prose is read on into the next line; everything else ends with its line.
"""

import re
from collections.abc import Iterator
from functools import lru_cache

from nodes.text.common import COMMON

LONGEST = 400
"""Characters of one sentence; a longer one is cut at a blank."""

FIELD = 240
"""Characters of a `label: value` that is left whole though it may hold several sentences."""

TEXTS_KEPT = 256
"""Texts that are cut only once: a run looks at each several times."""

NARROWEST = 50
WIDEST = 160
"""Lines of wrapped prose are not shorter or longer, in characters: below it is a list, above a paragraph."""

Span = tuple[int, int]

ABBREVIATIONS = frozenset(
    "mr mrs ms dr prof st no nos vs etc jr sr inc ltd co corp gen col capt lt sgt rev hon gov sen rep fig vol pp ed "
    "eds dept est ca cf al jan feb mar apr jun jul aug sep sept oct nov dec mt ft op bros e.g i.e a.m p.m".split()
)
_TITLES = frozenset("mr mrs ms dr prof st rev hon capt lt sgt gen col gov sen rep mt".split())
_END = re.compile(r"[.!?…]{1,5}[\"'”’»)\]*_]{0,3}(?=\s)|[。！？।]{1,5}[”’」』）]{0,3}")
_MARK = re.compile(r"[ \t]{0,40}(?:[-*+•–][ \t]{1,8}|\(?\d{1,3}[.)][ \t]{1,8}|>[ \t]{0,8})")
_STARTS = re.compile(r"[ \t]{0,40}(?:#|\||\d{4}-\d{2}-\d{2}\b)")
_WHOLE = re.compile(r"[ \t]{0,40}[#|]")
_LABEL = re.compile(r"[*_]{0,2}\w[\w/().-]{0,20}(?: [\w/().-]{1,20}){0,2}[*_]{0,2}: ")
_WORD = re.compile(r"\w+")


@lru_cache(maxsize=TEXTS_KEPT)
def sentences(text: str, rows: bool = False) -> tuple[Span, ...]:
    """The spans of all sentences, in order; they never overlap, and each begins and ends with a visible character.

    Args:
        text: Any text.
        rows: Every line stands for itself: a CSV or TSV file.
    """
    spans: list[Span] = []
    for start, end, whole in _blocks(text, rows):
        spans += _pieces(text, [(start, end)] if whole else _cut(text, start, end))
    return tuple(spans)


def _blocks(text: str, rows: bool) -> Iterator[tuple[int, int, bool]]:
    """Runs of lines that are read as one, each with whether it is one piece whatever stands in it."""
    for lines in _paragraphs(text):
        width = max(end - start for start, end in lines)
        first, last = lines[0]
        for start, end in lines[1:]:
            if rows or not _goes_on(text, (first, last), (start, end), width):
                yield _block(text, first, last, rows)
                first = start
            last = end
        yield _block(text, first, last, rows)


def _block(text: str, start: int, end: int, rows: bool) -> tuple[int, int, bool]:
    """A block without its list mark."""
    if rows:
        return start, end, True
    mark = _MARK.match(text, start, end)
    start = mark.end() if mark else start
    field = end - start <= FIELD and _LABEL.match(text, start, end)
    return start, end, bool(field or _WHOLE.match(text, start, end))


def _paragraphs(text: str) -> Iterator[list[Span]]:
    """The lines between blank ones."""
    lines: list[Span] = []
    start = 0
    while start <= len(text):
        end = text.find("\n", start)
        end = len(text) if end < 0 else end
        if text[start:end].strip():
            lines.append((start, end))
        elif lines:
            yield lines
            lines = []
        start = end + 1
    if lines:
        yield lines


def _goes_on(text: str, block: Span, line: Span, width: int) -> bool:
    """Whether the block, the last line of which is the one before, is read on into this line."""
    start, end = line
    before = text.rfind("\n", block[0], block[1]) + 1 or block[0]
    if _STARTS.match(text, start, end) or _MARK.match(text, start, end) or _WHOLE.match(text, before, block[1]):
        return False
    if _wrapped(text, (before, block[1]), line, width):
        return True
    head = text[start:end].lstrip()
    return head[0].islower() and "\t" not in head and not _LABEL.match(head)


def _wrapped(text: str, before: Span, line: Span, width: int) -> bool:
    """The line before is full: the first word of this one would not have fitted on it."""
    if not NARROWEST <= width <= WIDEST:
        return False
    return before[1] - before[0] + 1 + len(text[slice(*line)].split(maxsplit=1)[0]) > width


def _cut(text: str, start: int, end: int) -> Iterator[Span]:
    """Prose at the ends of its sentences."""
    for mark in _END.finditer(text, start, end):
        if _ends(text, start, mark, end):
            yield start, mark.end()
            start = mark.end()
    yield start, end


def _ends(text: str, start: int, mark: "re.Match[str]", end: int) -> bool:
    """Whether a mark ends a sentence: none before a small letter, a full stop not after an abbreviation or initial."""
    following = _WORD.search(text, mark.end(), min(end, mark.end() + 40))
    after = following.group() if following else ""
    if after[:1].islower():
        return False
    if not after or mark.group()[0] not in ".…":
        return True
    words = text[max(start, mark.start() - 20) : mark.start()].split()
    before = words[-1].lstrip("(\"'“‘[").lower() if words else ""
    if before in _TITLES:
        return False
    if before in ABBREVIATIONS or (len(before) == 1 and before.isalpha()) or "." in before:
        return len(after) > 1 and after.lower() in COMMON
    return True


def _pieces(text: str, spans: "Iterator[Span] | list[Span]") -> Iterator[Span]:
    """Spans without blanks around them; the long ones in pieces; those without a letter or a digit left out."""
    for start, end in spans:
        while True:
            while start < end and text[start].isspace():
                start += 1
            stop = end if end - start <= LONGEST else _blank_before(text, start, start + LONGEST)
            last = stop
            while last > start and text[last - 1].isspace():
                last -= 1
            if _WORD.search(text, start, last):
                yield start, last
            start = stop
            if start >= end:
                break


def _blank_before(text: str, start: int, end: int) -> int:
    cut = max(text.rfind(" ", start + 1, end), text.rfind("\n", start + 1, end))
    return cut if cut > start else end
