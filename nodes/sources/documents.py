"""Documents: the files of a folder tree, or single files, searched by their words."""

import asyncio
import os
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

from nodes.sources.collecting import PASSAGES_PER_QUERY, Collecting, Found, Lost, collect, time_left
from nodes.sources.index import Hit, Index
from nodes.sources.parse import READERS, parse
from state.evidence import Finding, Source
from state.guarded import Status
from state.research import Asked

FILES = 20_000
DEPTH = 20
LOST_SHOWN = 50


async def documents(state: Asked) -> Collecting:
    """Search the folders and files in `docs`; what was read once is not read again until it changes."""
    roots = state.get("docs") or []
    prefixed = len(roots) > 1

    async def look(place: str, queries: Sequence[str]) -> Found:
        return await _in_thread(place, queries, prefixed)

    return await collect("documents", "file", roots, state.get("queries") or [state["question"]], look)


async def _in_thread(place: str, queries: Sequence[str], prefixed: bool) -> Found:
    """Do the blocking work in a thread that stops at the attempt's end and when the node is cancelled."""
    gone, end = threading.Event(), time.monotonic() + time_left()

    def go_on() -> bool:
        return not gone.is_set() and time.monotonic() < end

    try:
        return await asyncio.to_thread(_look, place, queries, prefixed, go_on)
    finally:
        gone.set()


def _look(place: str, queries: Sequence[str], prefixed: bool, go_on: Callable[[], bool]) -> Found:
    began = time.monotonic()
    path = Path(place).expanduser()
    if not path.exists():
        raise Lost("there is no such file or folder: check the path")
    root = path.resolve()
    base = root if root.is_dir() else root.parent
    prefix = f"{base.name}/" if prefixed else ""
    index = Index(str(root))
    whole = index.refresh(_stamps(root), lambda name: parse(base / name, name), go_on)
    found = Found(
        [_finding(hit, base, prefix, query) for query in queries for hit in index.search(query, PASSAGES_PER_QUERY)]
    )
    found.sources = [_source(base, prefix, name, status, reason) for name, status, reason in index.lost()[:LOST_SHOWN]]
    _root(found, place, root, whole, time.monotonic() - began)
    return found


def _root(found: Found, place: str, root: Path, whole: bool, seconds: float) -> None:
    """The row of the place that the user named."""
    status: Status = "ok" if whole else "timed out"
    reason = "" if whole else "the time was over before every file was read: ask again, it goes on from there"
    if root.is_file() and found.sources:
        lost = found.sources.pop()
        status, reason = lost.status, lost.reason
    row = Source(
        id=place, kind="file", place=place, status=status, reason=reason, seconds=round(seconds, 3), named=True
    )
    found.sources.insert(0, row)


def _stamps(root: Path) -> dict[str, str]:
    """Every readable file below the root, by relative path, with what changes when it changes."""
    if root.is_file():
        if root.suffix.lower() not in READERS:
            raise Lost(
                f"files like '{root.suffix or root.name}' cannot be read: use {', '.join(sorted(READERS))}", "refused"
            )
        return {root.name: _stamp(root.stat())}
    found: dict[str, str] = {}
    for entry in _files(root, 0):
        if len(found) >= FILES:
            break
        found[os.path.relpath(entry.path, root)] = _stamp(entry.stat())
    return found


def _stamp(stat: os.stat_result) -> str:
    return f"{stat.st_size}-{stat.st_mtime_ns}-{stat.st_ino}"


def _files(folder: Path | str, depth: int) -> Iterator["os.DirEntry[str]"]:
    """Files that can be read, in order; hidden ones and links are passed over, so nothing outside is reached."""
    try:
        entries = sorted(os.scandir(folder), key=lambda entry: entry.name)
    except OSError:
        if depth == 0:
            raise Lost("the folder cannot be opened: check its permissions") from None
        return
    for entry in entries:
        if entry.name.startswith(".") or entry.is_symlink():
            continue
        if entry.is_dir() and depth < DEPTH:
            yield from _files(entry.path, depth + 1)
        elif entry.is_file() and os.path.splitext(entry.name)[1].lower() in READERS:  # noqa: PTH122
            yield entry


def _finding(hit: Hit, base: Path, prefix: str, query: str) -> Finding:
    return Finding(
        source_id=prefix + hit.name,
        kind="file",
        collector="documents",
        title=hit.title,
        text=hit.text,
        place=str(base / hit.name),
        location=hit.location,
        start=hit.start,
        end=hit.end,
        score=hit.score,
        date=hit.date,
        query=query,
    )


def _source(base: Path, prefix: str, name: str, status: str, reason: str) -> Source:
    return Source(
        id=prefix + name,
        kind="file",
        place=str(base / name),
        title=name,
        status=status,
        reason=reason,  # type: ignore[arg-type]
    )
