"""What the tests of the sources share: files that are hard to read, and a web server of their own."""

import asyncio
import ctypes
import io
import os
import platform
import zipfile
from collections.abc import Awaitable, Callable, Iterator, Sequence
from contextlib import asynccontextmanager, contextmanager
from pathlib import Path
from typing import Any

from nodes.sources.database import database
from nodes.sources.documents import documents
from state.evidence import Collected, Source

SPACE = "http://schemas.openxmlformats.org/wordprocessingml/2006/main"
READ_ANYTHING = 0b110  # CAP_DAC_OVERRIDE and CAP_DAC_READ_SEARCH


async def search_documents(question: str, *docs: Path | str) -> Collected:
    """What the documents node finds."""
    return (await documents({"question": question, "docs": [str(path) for path in docs]}))["collected"][0]


async def search_database(question: str, *files: Path | str) -> Collected:
    """What the database node finds."""
    return (await database({"question": question, "databases": [str(path) for path in files]}))["collected"][0]


def ids(collected: Collected) -> list[str]:
    """Where the findings stand, best first; what a small root hands over without a match is left out."""
    return [finding.source_id for finding in collected.findings if finding.score or finding.kind == "web"]


def row(collected: Collected, end: str) -> Source:
    """The one source whose id ends like this."""
    (found,) = (source for source in collected.sources if source.id.endswith(end))
    return found


def lost(collected: Collected) -> dict[str, str]:
    """The reasons of what was not read, by id."""
    return {source.id: source.reason for source in collected.sources if source.status != "ok" or source.reason}


def write(folder: Path, **texts: str) -> Path:
    """A folder with a text file for each name."""
    folder.mkdir(parents=True, exist_ok=True)
    for name, text in texts.items():
        (folder / f"{name}.txt").write_text(text)
    return folder


def docx(body: str, head: str = "") -> bytes:
    """A Word document with this body."""
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED) as archive:
        xml = f'<?xml version="1.0"?>{head}<w:document xmlns:w="{SPACE}"><w:body>{body}</w:body></w:document>'
        archive.writestr("word/document.xml", xml)
    return file.getvalue()


def paragraph(text: str) -> str:
    """One of its paragraphs."""
    return f"<w:p><w:r><w:t>{text}</w:t></w:r></w:p>"


def pdf(*pages: str, password: bool = False) -> bytes:
    """A PDF of these pages; with a password, one whose checks no empty password meets."""
    kids = " ".join(f"{10 + 2 * number} 0 R" for number in range(len(pages)))
    parts = [
        "%PDF-1.4",
        "1 0 obj <</Type /Catalog /Pages 2 0 R>> endobj",
        f"2 0 obj <</Type /Pages /Count {len(pages)} /Kids [{kids}]>> endobj",
        "3 0 obj <</Type /Font /Subtype /Type1 /BaseFont /Helvetica>> endobj",
        f"4 0 obj <</Filter /Standard /V 1 /R 2 /P -4 /O <{'11' * 32}> /U <{'22' * 32}>>> endobj",
    ]
    for number, text in enumerate(pages):
        shown = f"BT /F1 12 Tf 50 700 Td ({text}) Tj ET"
        page = 10 + 2 * number
        parts += [
            f"{page} 0 obj <</Type /Page /Parent 2 0 R /MediaBox [0 0 600 800] /Contents {page + 1} 0 R "
            "/Resources <</Font <</F1 3 0 R>>>>>> endobj",
            f"{page + 1} 0 obj <</Length {len(shown)}>> stream\n{shown}\nendstream endobj",
        ]
    locked = f" /Encrypt 4 0 R /ID [<{'33' * 16}> <{'33' * 16}>]" if password else ""
    parts.append(f"trailer <</Root 1 0 R{locked}>>\n%%EOF")
    return "\n".join(parts).encode()


@contextmanager
def forbidden(path: Path) -> Iterator[None]:
    """The path with no permissions, for this thread and those that it starts; even root has to respect them."""
    mode = path.stat().st_mode
    path.chmod(0)
    before = _capabilities()
    try:
        if before is not None:
            _set_capabilities(before[0] & ~READ_ANYTHING, *before[1:])
        yield
    finally:
        if before is not None:
            _set_capabilities(*before)
        path.chmod(mode)


def _capabilities() -> tuple[int, int, int] | None:
    """The lower 32 capabilities of this thread: effective, permitted, inheritable; None for an ordinary user."""
    if os.geteuid() != 0 or platform.system() != "Linux":
        return None
    values = (ctypes.c_uint32 * 6)()
    assert _libc().capget(_header(), values) == 0
    return values[0], values[1], values[2]


def _set_capabilities(effective: int, permitted: int, inheritable: int) -> None:
    values = (ctypes.c_uint32 * 6)()
    assert _libc().capget(_header(), values) == 0
    values[0], values[1], values[2] = effective, permitted, inheritable
    assert _libc().capset(_header(), values) == 0


def _header() -> Any:
    return (ctypes.c_uint32 * 2)(0x20080522, 0)


def _libc() -> Any:
    return ctypes.CDLL(None, use_errno=True)


Handler = Callable[[asyncio.StreamWriter], Awaitable[None]]


class Site:
    """A web server on loopback that says exactly the bytes that a test gives it.

    Attributes:
        pages: By path: the whole response, or what to do with the connection.
        asked: The requests that came, first lines and headers.
    """

    def __init__(self) -> None:
        self.pages: dict[str, bytes | Handler] = {}
        self.asked: list[str] = []
        self.port = 0

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def paths(self) -> list[str]:
        return [request.split()[1] for request in self.asked]

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            request = (await reader.readuntil(b"\r\n\r\n")).decode()
            self.asked.append(request)
            page = self.pages.get(request.split()[1].partition("?")[0], reply(b"not here", status="404 Not Found"))
            if isinstance(page, bytes):
                writer.write(page)
            else:
                await page(writer)
            await writer.drain()
        except (ConnectionError, asyncio.IncompleteReadError):
            pass  # the client has gone
        finally:
            writer.close()


@asynccontextmanager
async def site() -> Any:
    """A running `Site`."""
    served = Site()
    server = await asyncio.start_server(served.serve, "127.0.0.1", 0)
    served.port = server.sockets[0].getsockname()[1]
    try:
        yield served
    finally:
        server.close()


def reply(body: bytes, kind: str = "text/html", status: str = "200 OK", headers: Sequence[str] = ()) -> bytes:
    """A whole HTTP response."""
    lines = [
        f"HTTP/1.1 {status}",
        f"Content-Type: {kind}",
        f"Content-Length: {len(body)}",
        "Connection: close",
        *headers,
    ]
    return "\r\n".join(lines).encode() + b"\r\n\r\n" + body


def redirect(to: str) -> bytes:
    """A redirect."""
    return reply(b"", status="302 Found", headers=[f"Location: {to}"])
