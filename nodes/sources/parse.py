"""Parse: the files that can be read, each as one `Document`. Not read: other kinds, and files over `FILE_BYTES`."""

import os
from collections.abc import Callable

from nodes.sources.collecting import Lost
from nodes.sources.docx import from_docx
from nodes.sources.html import from_html
from nodes.sources.pdf import from_pdf
from nodes.sources.plain import from_markdown, from_text
from nodes.sources.text import Document

FILE_BYTES = 50_000_000

READERS: dict[str, Callable[[bytes, str, str], Document]] = {
    ".csv": from_text,
    ".docx": from_docx,
    ".htm": from_html,
    ".html": from_html,
    ".markdown": from_markdown,
    ".md": from_markdown,
    ".pdf": from_pdf,
    ".text": from_text,
    ".tsv": from_text,
    ".txt": from_text,
}
"""By suffix: reads (bytes, name, title unless the file states one)."""


def parse(path: str, name: str) -> Document:
    """Read one file.

    Args:
        path: The file.
        name: What the document is called in its root.

    Raises:
        Lost: It is too large, is not what its suffix says, or holds no text; the reason names the cure.
        OSError: It cannot be opened.
    """
    stem, suffix = os.path.splitext(os.path.basename(path))  # noqa: PTH119, PTH122 - a tenth of pathlib's time
    read = READERS.get(suffix.lower())
    if read is None:
        raise unread(suffix or stem)
    document = read(_bytes(path), name, " ".join(printable(stem).split()))
    if not document.text.strip():
        raise Lost("it holds no text (a scanned PDF needs text recognition first)", "skipped")
    return document


def unread(suffix: str) -> Lost:
    """That files of this kind are not read, and which are."""
    return Lost(f"files like '{printable(suffix)}' cannot be read: use {', '.join(sorted(READERS))}", "refused")


def printable(name: str) -> str:
    """A file's name as valid text: bytes that are none are written in hexadecimal."""
    return name if name.isascii() else name.encode("utf-8", "surrogateescape").decode("utf-8", "backslashreplace")


def _bytes(path: str) -> bytes:
    """The whole file; one that is too large is not read at all."""
    with open(path, "rb", buffering=0) as file:  # noqa: PTH123
        size = os.fstat(file.fileno()).st_size
        data = file.read(size + 1) if size <= FILE_BYTES else b""
    if size > FILE_BYTES or len(data) > size:
        raise Lost(f"{size // 1_000_000} MB is over the limit of {FILE_BYTES // 1_000_000} MB: split it", "refused")
    return data
