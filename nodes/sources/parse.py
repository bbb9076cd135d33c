"""Parse: the files that can be read, each as one `Document`. Libraries do the work and are loaded when needed.

PDF: pypdfium2, HTML: selectolax. Text, Markdown and CSV are kept as they stand (universal newlines), so offsets hold
on the file itself. Not read: everything else, files over `FILE_BYTES`, and what lies behind links out of the folder.
"""

import codecs
import re
import threading
import time
from collections.abc import Callable
from pathlib import Path

from nodes.sources.collecting import Lost
from nodes.sources.text import Document, date_of, line_marks

FILE_BYTES = 50_000_000
TEXT_CHARACTERS = 10_000_000
PDF_PAGES = 2_000
FILE_SECONDS = 20.0

_HEADING = re.compile(r"^#{1,3} +(.{1,200}?) *#*$", re.MULTILINE)
_NOISE = "script, style, noscript, template, svg, nav, header, footer, aside, form, iframe, [hidden]"
_BLOCKS = "p, br, div, li, tr, h1, h2, h3, h4, h5, h6, section, article, blockquote, pre, dt, dd, table, ul, ol"
_pdfium = threading.Lock()
"""pdfium is not thread-safe."""


def parse(path: Path, name: str) -> Document:
    """Read one file.

    Args:
        path: The file.
        name: What the document is called in its root.

    Raises:
        Lost: It is too large, is not what its suffix says, or holds no text; the reason names the cure.
        OSError: It cannot be opened.
    """
    read = READERS.get(path.suffix.lower())
    if read is None:
        raise Lost(
            f"files like '{path.suffix or path.name}' cannot be read: use {', '.join(sorted(READERS))}", "refused"
        )
    size = path.stat().st_size
    if size > FILE_BYTES:
        raise Lost(f"{size // 1_000_000} MB is over the limit of {FILE_BYTES // 1_000_000} MB: split it", "refused")
    document = read(path.read_bytes(), name, path.stem)
    if not document.text.strip():
        raise Lost("it holds no text (a scanned PDF needs OCR first)", "skipped")
    return document


def decoded(data: bytes) -> str:
    """Bytes as text with universal newlines; an encoding error costs characters, never the file.

    Raises:
        Lost: The bytes are no text.
    """
    if data.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)):
        text = data.decode("utf-16", errors="replace")
    elif b"\0" in data[:8_192]:
        raise Lost("it is a binary file, not text", "refused")
    else:
        try:
            text = data.decode("utf-8-sig")
        except UnicodeDecodeError:
            text = data.decode("cp1252", errors="replace")
    return text[:TEXT_CHARACTERS].replace("\r\n", "\n").replace("\r", "\n")


def from_text(data: bytes, name: str, stem: str) -> Document:
    """Plain text, as it stands; the file's name is its title."""
    text = decoded(data)
    return Document(name, stem, text, date_of(name, text), "line", line_marks(text))


def from_markdown(data: bytes, name: str, stem: str) -> Document:
    """Markdown, as it stands; its first heading is its title."""
    text = decoded(data)
    heading = _HEADING.search(text[:5_000])
    return Document(name, heading.group(1) if heading else stem, text, date_of(name, text), "line", line_marks(text))


def from_table(data: bytes, name: str, stem: str) -> Document:
    """CSV or TSV, as it stands; lines are rows, the first is the header."""
    text = decoded(data)
    return Document(name, stem, text, date_of(name, text), "line", line_marks(text))


def from_html(data: bytes, name: str, stem: str) -> Document:
    """The main text of a page."""
    from selectolax.lexbor import LexborHTMLParser

    tree = LexborHTMLParser(decoded(data))
    heading = tree.css_first("title") or tree.css_first("h1")
    title = " ".join(heading.text().split())[:200] if heading else ""
    date = _page_date(tree)
    tree.strip_tags([tag.strip() for tag in _NOISE.split(",") if "[" not in tag])
    for hidden in tree.css("[hidden]"):
        hidden.decompose()
    for block in tree.css(_BLOCKS):
        block.insert_after("\n")
    main = tree.css_first("article") or tree.css_first("main") or tree.body
    text = _tidy(main.text() if main else "")
    return Document(name, title or stem, text, date or date_of(name, text), "line", line_marks(text))


def _page_date(tree: object) -> str:
    node = tree.css_first("meta[property='article:published_time'], meta[name='date'], time[datetime]")  # type: ignore[attr-defined]
    if node is None:
        return ""
    return date_of(node.attributes.get("content") or node.attributes.get("datetime") or "", "")


def _tidy(text: str) -> str:
    lines = (" ".join(line.split()) for line in text.splitlines())
    return "\n".join(line for line in lines if line)


def from_pdf(data: bytes, name: str, stem: str) -> Document:
    """The text of a PDF, page by page."""
    import pypdfium2

    began, pages = time.monotonic(), []
    with _pdfium:
        try:
            pdf = pypdfium2.PdfDocument(data)
        except pypdfium2.PdfiumError as error:
            why = "it needs a password" if "assword" in str(error) else "it is no PDF, or a damaged one"
            raise Lost(
                f"{why}: save it again as a PDF without one" if "pass" in why else f"{why}: export it again"
            ) from None
        try:
            for number in range(min(len(pdf), PDF_PAGES)):
                pages.append(_page(pdf, number))
                if time.monotonic() - began > FILE_SECONDS:
                    break
        finally:
            pdf.close()
    marks, length = [], 0
    for page in pages:
        marks.append(length)
        length += len(page) + 2
    text = "\n\n".join(pages)[:TEXT_CHARACTERS]
    return Document(name, stem, text, date_of(name, ""), "page", tuple(marks))


def _page(pdf: object, number: int) -> str:
    page = pdf[number]  # type: ignore[index]
    text_page = page.get_textpage()
    try:
        return str(text_page.get_text_bounded()).replace("\r\n", "\n").replace("\r", "\n").replace("\ufffe", "-")
    finally:
        text_page.close()
        page.close()


READERS: dict[str, Callable[[bytes, str, str], Document]] = {
    ".txt": from_text,
    ".text": from_text,
    ".md": from_markdown,
    ".markdown": from_markdown,
    ".html": from_html,
    ".htm": from_html,
    ".pdf": from_pdf,
    ".csv": from_table,
    ".tsv": from_table,
}
