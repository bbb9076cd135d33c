"""Plain: text, Markdown and CSV, kept as they stand (universal newlines), so that offsets hold on the file itself."""

import codecs
import re

from nodes.sources.collecting import Lost
from nodes.sources.text import Document, date_of, line_marks
from nodes.text.named import names_in

TEXT_CHARACTERS = 10_000_000
TITLE_CHARACTERS = 120
TABLES = (".csv", ".tsv")
OPENING = 150
"""Characters in which a text may say what it is about."""

HEAD = 8_192
"""Bytes that tell whether a file is text."""

_BOMS = {
    codecs.BOM_UTF32_LE: "utf-32",
    codecs.BOM_UTF32_BE: "utf-32",
    codecs.BOM_UTF16_LE: "utf-16",
    codecs.BOM_UTF16_BE: "utf-16",
}
_CONTROLS = bytes(set(range(32)) - set(b"\t\n\v\f\r\x1b"))
_HEADING = re.compile(r"^#{1,3} +(\S.{0,200})$", re.MULTILINE)


def decoded(data: bytes) -> str:
    """Bytes as text with universal newlines; an encoding error costs characters, never the file.

    Raises:
        Lost: The bytes are no text.
    """
    for mark, encoding in _BOMS.items():
        if data.startswith(mark):
            return _newlines(data.decode(encoding, errors="replace"))
    head = data[:HEAD]
    if b"\0" in head or (len(head) - len(head.translate(None, _CONTROLS))) * 10 > len(head):
        raise Lost("it is a binary file, not text: give it its true suffix, or save it as text", "refused")
    try:
        return _newlines(data.decode("utf-8-sig"))
    except UnicodeDecodeError:
        return _newlines(data.decode("cp1252", errors="replace"))


def _newlines(text: str) -> str:
    return text.replace("\r\n", "\n").replace("\r", "\n").replace("\0", " ")


def cut(text: str) -> tuple[str, str]:
    """The text that is kept, and a note when that is not all of it."""
    if len(text) <= TEXT_CHARACTERS:
        return text, ""
    return text[:TEXT_CHARACTERS], f"only its first {TEXT_CHARACTERS} characters were read: split it"


def from_text(data: bytes, name: str, title: str) -> Document:
    """Plain text or a table; lines are what its places are told by.

    A text's title is its first line if that is one; of a file that is called by a number, the name that it opens with.
    """
    text, note = cut(decoded(data))
    title = title if name.lower().endswith(TABLES) else _first_line(text) or _opening_name(title, text) or title
    return Document(name, title, text, date_of(name, text), "line", line_marks(text), note=note)


def _first_line(text: str) -> str:
    """A short line above the rest that is no sentence and no `key: value`; else nothing."""
    line, _, rest = text[:2_000].lstrip().partition("\n")
    line = line.strip()
    is_title = rest.strip() and len(line) <= TITLE_CHARACTERS and line[-1:] not in ".!?:;," and ": " not in line[:20]
    return line if is_title and line[:1].isalnum() else ""


def _opening_name(title: str, text: str) -> str:
    """The name that the text opens with, for one that is called by a number alone: what it is about, as a rule."""
    head = text[:OPENING].lstrip()
    name = next(names_in(head), "") if any(map(str.isdigit, title)) else ""
    return name if name[:1].isalpha() and head.find(name) <= len("The ") else ""


def from_markdown(data: bytes, name: str, title: str) -> Document:
    """Markdown; its first heading is its title."""
    text, note = cut(decoded(data))
    heading = _HEADING.search(text[:5_000])
    title = heading.group(1).rstrip("# ") if heading else title
    return Document(name, title, text, date_of(name, text), "line", line_marks(text), note=note)
