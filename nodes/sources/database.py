"""Database: a SQLite file opened read-only, its text searched by words. Nothing is ever written to it or beside it."""

from collections.abc import Sequence
from pathlib import Path

from nodes.sources.collecting import Collecting, Found, Lost, collect, finding, in_thread, share
from nodes.sources.index import Index, with_index
from nodes.sources.roots import inside
from nodes.sources.rows import documents
from nodes.sources.sqlite_file import stamp
from state.evidence import Source
from state.guarded import Status
from state.research import Asked


async def database(state: Asked) -> Collecting:
    """Search the SQLite files in `databases`; a file is read once, and again when it changed."""
    return await collect("database", "database", state.get("databases") or [], state, in_thread(_look))


def _look(place: str, queries: Sequence[str]) -> Found:
    path = _path(place)
    return with_index(str(path), lambda index: _search(index, path, queries))


def _search(index: Index, path: Path, queries: Sequence[str]) -> Found:
    why = index.replace(stamp(path), lambda: documents(path))
    hits = [(query, hit) for query in queries for hit in index.search(query, share(queries))]
    hits += [(queries[0], hit) for hit in index.others([hit for _, hit in hits])]
    found = Found([finding("database", hit, f"{path.name}#{hit.name}", str(path), query) for query, hit in hits])
    found.sources = [_row(path, *entry) for entry in index.lost()]
    if why:
        found.status, found.note = "timed out", why
    elif index.is_empty():
        found.status, found.note = "skipped", "no table in it has text: name one that has"
    return found


def _path(place: str) -> Path:
    try:
        path = inside(Path(place).expanduser().resolve()).resolve(strict=True)
    except (OSError, ValueError, RuntimeError):
        raise Lost("there is no such database file: check the path") from None
    if not path.is_file():
        raise Lost("it is no file: name the SQLite file itself", "refused")
    return path


def _row(path: Path, name: str, status: Status, reason: str) -> Source:
    return Source(id=f"{path.name}#{name}", kind="database", place=str(path), title=name, status=status, reason=reason)
