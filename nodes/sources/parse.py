"""Parse: the files that can be read, each as one `Document`. Not read: other kinds, and files over `FILE_BYTES`."""

import os
from collections.abc import Callable
from stat import S_ISREG

from nodes.sources.collecting import Lost
from nodes.sources.docx import from_docx
from nodes.sources.html import from_html
from nodes.sources.pdf import from_pdf
from nodes.sources.plain import from_markdown, from_text
from nodes.sources.text import Document

FILE_BYTES = 50_000_000
_FOLDER = os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC
_FILE = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC

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


def parse(base: str, path: str, name: str) -> Document:
    """Read one file.

    Args:
        base: The folder that it is in, or below.
        path: From there; a link on the way is not followed, also when it was put there a moment ago.
        name: What the document is called in its root.

    Raises:
        Lost: It is too large, is not what its suffix says, or holds no text; the reason names the cure.
        OSError: It cannot be opened.
    """
    stem, suffix = os.path.splitext(os.path.basename(path))  # noqa: PTH119, PTH122 - a tenth of pathlib's time
    read = READERS.get(suffix.lower())
    if read is None:
        raise unread(suffix or stem)
    document = read(_bytes(base, path), name, " ".join(printable(stem).split()))
    if not document.text.strip():
        raise Lost("it holds no text (a scanned PDF needs text recognition first)", "skipped")
    return document


def unread(suffix: str) -> Lost:
    """That files of this kind are not read, and which are."""
    return Lost(f"files like '{printable(suffix)}' cannot be read: use {', '.join(sorted(READERS))}", "refused")


def printable(name: str) -> str:
    """A file's name as valid text: bytes that are none are written in hexadecimal."""
    return name if name.isascii() else name.encode("utf-8", "surrogateescape").decode("utf-8", "backslashreplace")


def _bytes(base: str, path: str) -> bytes:
    """The whole file; one that is too large, or has become something else, is not read at all."""
    with open(_opened(base, path), "rb", buffering=0) as file:
        stat = os.fstat(file.fileno())
        if not S_ISREG(stat.st_mode):
            raise Lost("it is no file any more: look what replaced it", "refused")
        size = stat.st_size
        data = file.read(size + 1) if size <= FILE_BYTES else b""
    if size > FILE_BYTES or len(data) > size:
        raise Lost(f"{size // 1_000_000} MB is over the limit of {FILE_BYTES // 1_000_000} MB: split it", "refused")
    return data


def _opened(base: str, path: str) -> int:
    """The file, where it is said to be: no link that somebody puts there meanwhile leads out of the base."""
    place = f"{base.rstrip('/')}/{path}"
    handle = os.open(place, _FILE)
    try:
        real = os.readlink(f"/proc/self/fd/{handle}")  # noqa: PTH115
    except OSError:  # no such system: it is found anew, from folder to folder
        os.close(handle)
        return _found_anew(base, path)
    if real != place:
        os.close(handle)
        raise Lost("it was moved, or a link was put in its way, while it was opened: ask again", "refused")
    return handle


def _found_anew(base: str, path: str) -> int:
    folder = os.open(base, _FOLDER)
    try:
        *folders, file = path.split("/")
        for name in folders:
            inner = os.open(name, _FOLDER | os.O_NOFOLLOW, dir_fd=folder)
            os.close(folder)
            folder = inner
        return os.open(file, _FILE, dir_fd=folder)
    finally:
        os.close(folder)
