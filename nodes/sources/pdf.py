"""PDF: the text of its pages, by pypdfium2."""

import threading
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager
from itertools import accumulate
from typing import Any

from nodes.sources.collecting import Lost, going_on
from nodes.sources.plain import cut
from nodes.sources.text import Document, date_of

PAGES = 2_000
FILE_SECONDS = 20.0
BETWEEN_PAGES = "\n\n"
PASSWORD = 4
"""FPDF_ERR_PASSWORD."""

_pdfium = threading.Lock()
"""pdfium is not thread-safe."""


def from_pdf(data: bytes, name: str, title: str) -> Document:
    """The text of a PDF, page by page.

    Raises:
        Lost: It is no PDF, or needs a password, or other files kept pdfium busy for too long.
    """
    with _turn():
        pages, note = _pages(data)
    marks = (0, *accumulate(len(page) + len(BETWEEN_PAGES) for page in pages[:-1]))
    text, shorter = cut(BETWEEN_PAGES.join(pages))
    return Document(name, title, text, date_of(name, ""), "page", marks, note=shorter or note)


@contextmanager
def _turn() -> Iterator[None]:
    """Wait for pdfium, no longer than a file may take."""
    if not _pdfium.acquire(timeout=FILE_SECONDS):
        raise Lost("other PDFs were read meanwhile: ask again", "timed out")
    try:
        yield
    finally:
        _pdfium.release()


def _pages(data: bytes) -> tuple[list[str], str]:
    import pypdfium2

    began, texts = time.monotonic(), list[str]()
    try:
        with closing(pypdfium2.PdfDocument(data)) as pdf:
            for number in range(min(len(pdf), PAGES)):
                if time.monotonic() - began > FILE_SECONDS or not going_on():
                    break
                texts.append(_page(pdf, number))
            whole = len(texts) == len(pdf)
    except pypdfium2.PdfiumError as error:
        if error.err_code == PASSWORD:
            raise Lost("it needs a password: save it again without one") from None
        raise Lost("it is no PDF, or a damaged one: export it again") from None
    return texts, "" if whole else f"only its first {len(texts)} pages were read: split it"


def _page(pdf: Any, number: int) -> str:
    with closing(pdf[number]) as page, closing(page.get_textpage()) as text:
        return str(text.get_text_bounded()).replace("\r\n", "\n").replace("\r", "\n").replace("\ufffe", "-")
