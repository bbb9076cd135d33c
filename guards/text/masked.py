"""Masked: a source's text without what must not leave, and as long as it was, so that places in it stay true.

What `redact` would take out of an answer is a mark and blocks here, before anything is stored: an index, a checkpoint
and a quote hold none of it. The exact places are marked where they are known, else the words of the line.
"""

from typing import Final

from guards.scan.registered import FILL, as_long
from guards.text.patterns import CARD, EMAIL, KINDS, SECRET, labelled, redact

_MARKS: Final = {"card": CARD, "email": EMAIL, "secret": SECRET, "iban": "[number removed]", "ssn": "[number removed]"}
_HIDDEN: Final = KINDS & {"card", "email", "secret", "id"}


def masked(text: str) -> str:
    """The text with cards, account numbers, e-mail addresses and secrets masked; the same object when it has none."""
    if not _held(text):
        return text
    text = _marked(text)
    lines = [_marked(line) if _held(line) else line for line in text.splitlines(keepends=True)]
    lines = [_blocks(line) if _held(line) else line for line in lines]
    text = "".join(lines)
    return _blocks(text) if _held(text) else text


def _held(text: str) -> bool:
    return not _HIDDEN.isdisjoint(redact(text)[1])


def _marked(text: str) -> str:
    """The places that are known for sure."""
    from guards.scan.output import kind_of, leaks  # most texts hold nothing, and never get here

    for start, end, reason in (*leaks(text), *labelled(text)):
        if mark := _MARKS.get(kind_of(reason)):
            hidden = as_long(mark, end - start) if "\n" not in text[start:end] else _blocks(text[start:end])
            text = f"{text[:start]}{hidden}{text[end:]}"
    return text


def _blocks(text: str) -> str:
    return "".join(c if c.isspace() else FILL for c in text)
