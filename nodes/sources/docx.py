"""DOCX: the paragraphs of a Word document, read with the standard library alone: zipfile and expat.

Both are bounded: no more than `XML_BYTES` are unpacked, and a document that declares entities is refused, so neither a
zip bomb nor an entity bomb goes off.
"""

import io
import zipfile

from nodes.sources.collecting import Lost
from nodes.sources.plain import cut
from nodes.sources.text import Document, date_of, line_marks

XML_BYTES = 50_000_000
DIRECTORY_BYTES = 1_000_000
"""Some 10,000 files."""

BREAKS = {"p": "\n", "br": "\n", "cr": "\n", "tab": "\t", "tc": "\t"}


def from_docx(data: bytes, name: str, title: str) -> Document:
    """The text of a document, a line a paragraph; headers, footnotes and comments are left out.

    Raises:
        Lost: It is no DOCX, needs a password, or is too large unpacked.
    """
    text, note = cut(_text(_xml(data)))
    return Document(name, title, text, date_of(name, text), "paragraph", line_marks(text), note=note)


def _xml(data: bytes) -> bytes:
    if _directory_bytes(data) > DIRECTORY_BYTES:
        raise Lost("it is an archive of far more files than a Word document: save it again as .docx", "refused")
    try:
        with zipfile.ZipFile(io.BytesIO(data)) as archive, archive.open("word/document.xml") as file:
            xml = file.read(XML_BYTES + 1)
    except Exception:  # zipfile and what unpacks for it (zlib, bz2, lzma, struct) promise no list of errors
        raise Lost("it is no Word document, or a protected one: save it again as .docx without a password") from None
    if len(xml) > XML_BYTES:
        raise Lost(f"unpacked it is larger than {XML_BYTES // 1_000_000} MB: split it", "refused")
    return xml


def _directory_bytes(data: bytes) -> int:
    """The size of the archive's list of files, as its last record says; `zipfile` makes an object of each entry.

    A list of 4 GB and more (ZIP64) has the largest number there.
    """
    last = data.rfind(b"PK\x05\x06", max(0, len(data) - 65_557))
    return int.from_bytes(data[last + 12 : last + 16], "little") if last >= 0 else 0


def _text(xml: bytes) -> str:
    """What stands in <w:t>, with line breaks and tabs."""
    from xml.parsers import expat

    parser, parts, inside = expat.ParserCreate(namespace_separator=" "), list[str](), False

    def start(tag: str, _: object) -> None:
        nonlocal inside
        inside = _name(tag) == "t"

    def end(tag: str) -> None:
        nonlocal inside
        inside = False
        parts.append(BREAKS.get(_name(tag), ""))

    def data(text: str) -> None:
        if inside:
            parts.append(text)

    def doctype(*_: object) -> None:
        raise Lost("it declares entities, which no Word document does: save it again as .docx", "refused")

    parser.StartElementHandler, parser.EndElementHandler = start, end
    parser.CharacterDataHandler, parser.StartDoctypeDeclHandler = data, doctype
    try:
        parser.Parse(xml, True)
    except expat.ExpatError:
        raise Lost("its text is damaged: save it again as .docx") from None
    return "".join(parts)


def _name(tag: str) -> str:
    return tag.rpartition(" ")[2]
