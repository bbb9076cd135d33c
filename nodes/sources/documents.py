"""Documents: the files of a folder tree, or single files, searched by their words."""

import os
import threading
import time
from collections import OrderedDict
from collections.abc import Sequence
from pathlib import Path

from nodes.sources.collecting import Collecting, Found, Lost, collect, finding, in_thread, share
from nodes.sources.folder import Scan, scan
from nodes.sources.index import Index, with_index
from nodes.sources.parse import parse
from nodes.sources.roots import inside
from state.evidence import Source
from state.guarded import Status
from state.message import current_trace
from state.research import Asked

FRESH_SECONDS = 60.0
ROOTS_REMEMBERED = 200


async def documents(state: Asked) -> Collecting:
    """Search the folders and files in `docs`; what was read once is not read again until it changes."""
    places = state.get("docs") or []

    def look(place: str, queries: Sequence[str]) -> Found:
        root = _root(place)
        prefix = _prefix(root, places)
        return with_index(str(root), lambda index: _search(index, root, queries, prefix))

    return await collect("documents", "file", places, state, in_thread(look))


def _search(index: Index, root: Path, queries: Sequence[str], prefix: str) -> Found:
    base = _base(root)
    seen = _refreshed(index, root)
    hits = [(query, hit) for query in queries for hit in index.search(query, share(queries))]
    hits += [(queries[0], hit) for hit in index.others([hit for _, hit in hits])]
    found = Found([finding("file", hit, prefix + hit.name, f"{base}/{hit.name}", query) for query, hit in hits])
    found.note, found.status = seen.note, seen.status
    lost = [*seen.lost, *index.lost()]
    if root.is_file() and lost:
        _, found.status, found.note = lost.pop()
    found.sources = [_row(base, prefix, *entry) for entry in lost]
    return found


def _refreshed(index: Index, root: Path) -> Scan:
    """Bring the index up to date; within one run the files stay as they were at its first look."""
    if recent.knows(root):
        return Scan()
    seen = scan(root)
    if seen.status == "timed out":
        return seen
    base = _base(root)
    why = index.refresh(seen.stamps, lambda name: parse(str(base), seen.paths.get(name, name), name))
    if why:
        seen.note, seen.status = why, "timed out"
    else:
        recent.add(root)
    return seen


class Recent:
    """The roots that each run has looked at: its second round does not look for changes again."""

    def __init__(self) -> None:
        self._seen: OrderedDict[tuple[str, Path], float] = OrderedDict()
        self._lock = threading.Lock()

    def knows(self, root: Path) -> bool:
        """Whether the current run looked at this root within `FRESH_SECONDS`."""
        with self._lock:
            return time.monotonic() - self._seen.get((current_trace.get(), root), float("-inf")) < FRESH_SECONDS

    def add(self, root: Path) -> None:
        """The current run, if there is one, has looked at this root."""
        if not current_trace.get():
            return
        with self._lock:
            self._seen[current_trace.get(), root] = time.monotonic()
            while len(self._seen) > ROOTS_REMEMBERED:
                self._seen.popitem(last=False)


recent = Recent()


def _root(place: str) -> Path:
    try:
        return inside(Path(place).expanduser().resolve()).resolve(strict=True)
    except (OSError, ValueError, RuntimeError) as error:  # also a name with a NUL, a link in a circle, no such user
        denied = isinstance(error, PermissionError)
        raise Lost(
            f"{'it may not be opened' if denied else 'there is no such file or folder'}: check the path"
        ) from None


def _base(root: Path) -> Path:
    return root if root.is_dir() else root.parent


def _prefix(root: Path, places: Sequence[str]) -> str:
    """What makes the ids of this root's files unique: nothing for one root, its name, or its path if names clash."""
    roots = {os.path.realpath(os.path.expanduser(place)) for place in places}  # noqa: PTH111
    bases = {_base(Path(other)) for other in roots}
    if len(bases) < 2:
        return ""
    base = _base(root)
    return f"{base}/" if sum(other.name == base.name for other in bases) > 1 else f"{base.name}/"


def _row(base: Path, prefix: str, name: str, status: Status, reason: str) -> Source:
    return Source(id=prefix + name, kind="file", place=str(base / name), title=name, status=status, reason=reason)
