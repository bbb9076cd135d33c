"""Folder: which files there are to read below a root, without reading any."""

import os
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from itertools import islice
from pathlib import Path

from nodes.sources.collecting import Lost, going_on
from nodes.sources.parse import READERS, printable, unread
from state.guarded import Status

FILES = 50_000
DEPTH = 20
ENTRIES = 200_000
LOST_SHOWN = 50
NOT_OPENED = "the time was over before every folder was opened: ask again, or name less"


@dataclass
class Scan:
    """What was seen.

    Attributes:
        stamps: Every file that can be read, by its path below the root; its stamp changes when the file does.
        paths: The real paths of those whose names are no valid text.
        lost: (name, status, reason) of folders that were passed over.
        note: Why it is not all that is there.
        status: How the root counts.
    """

    stamps: dict[str, int] = field(default_factory=dict)
    paths: dict[str, str] = field(default_factory=dict)
    lost: list[tuple[str, Status, str]] = field(default_factory=list)
    note: str = ""
    status: Status = "ok"


def scan(root: Path) -> Scan:
    """Look at the files below a folder, or at one file.

    Hidden files and links are passed over, so nothing outside the root is reached and nothing goes round in circles.

    Raises:
        Lost: It is a file of another kind, or a folder that cannot be opened.
    """
    if root.is_dir():
        return _tree(root)
    if not root.is_file():
        raise Lost("it is neither a file nor a folder: check the path", "refused")
    if root.suffix.lower() not in READERS:
        raise unread(root.suffix or root.name)
    return _with_valid_names(Scan({root.name: _stamp(root.stat())}))


def _tree(root: Path) -> Scan:
    seen, folders = Scan(), [""]
    while folders and len(seen.stamps) <= FILES and not seen.note:
        folders += _in_folder(root, folders.pop(), seen)
    if len(seen.stamps) > FILES:
        seen.stamps = dict(islice(seen.stamps.items(), FILES))
        seen.note = f"only its first {FILES} files were read: name folders inside it"
    if not (seen.stamps or seen.lost or seen.note):
        seen.note = f"no file in it can be read: it needs {', '.join(sorted(READERS))}"
        seen.status = "skipped"
    return _with_valid_names(seen)


def _in_folder(root: Path, folder: str, seen: Scan) -> list[str]:
    """Note the files of one folder, and say which folders it holds."""
    if folder.count("/") > DEPTH:
        return _pass_over(seen, folder, f"folders more than {DEPTH} deep are not read: name one of them")
    if not going_on():
        seen.status, seen.note = "timed out", NOT_OPENED
        return []
    try:
        with _opened(root / folder) as entries:
            return _noted(folder, islice(entries, ENTRIES), seen)
    except OSError as error:
        why = f"the folder cannot be opened ({error.strerror or type(error).__name__}): check its permissions"
        if not folder:
            raise Lost(why) from None
        return _pass_over(seen, folder, why)


@contextmanager
def _opened(folder: Path) -> "Iterator[Iterator[os.DirEntry[str]]]":
    """What is in a folder; held open, so that each file in it is found without walking its whole path again."""
    handle = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        with os.scandir(handle) as entries:
            yield entries
    finally:
        os.close(handle)


def _noted(folder: str, entries: "Iterable[os.DirEntry[str]]", seen: Scan) -> list[str]:
    """Most of what a question costs is spent here, so it calls nothing that it can do without."""
    inside, stamps = [], seen.stamps
    for entry in entries:
        name = entry.name
        if name[0] == ".":
            continue
        if name[name.rfind(".") :].lower() in READERS and entry.is_file(follow_symlinks=False):
            try:
                stat = entry.stat(follow_symlinks=False)
            except FileNotFoundError:  # deleted a moment ago
                continue
            stamps[folder + name] = hash((stat.st_size, stat.st_ctime_ns))
        elif entry.is_dir(follow_symlinks=False):
            inside.append(f"{folder}{name}/")
    return sorted(inside, reverse=True)


def _pass_over(seen: Scan, folder: str, why: str) -> list[str]:
    if len(seen.lost) < LOST_SHOWN:
        seen.lost.append((printable(folder.rstrip("/")), "failed", why))
    return []


def _stamp(stat: os.stat_result) -> int:
    """The change time moves also when only permissions change, and when an old modification time is put back.

    The hash of whole numbers is the same in every process.
    """
    return hash((stat.st_size, stat.st_ctime_ns))


def _with_valid_names(seen: Scan) -> Scan:
    """Names that are no valid text are written so that they are, their real paths noted."""
    if not "".join(seen.stamps).isascii():
        seen.paths = {printable(path): path for path in seen.stamps}
        seen.stamps = {printable(path): stamp for path, stamp in seen.stamps.items()}
    return seen
