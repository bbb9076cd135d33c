"""SQLite file: somebody's database, opened so that it cannot be written and nothing is left beside it."""

import shutil
import sqlite3
import tempfile
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path

from nodes.sources.collecting import Lost, going_on

WAIT_SECONDS = 2.0
VALUE_BYTES = 50_000_000
COPY_BYTES = 1_000_000_000
STEPS = 20_000
"""Steps of SQLite's machine between two looks at the time."""


@contextmanager
def opened(path: Path) -> Iterator[sqlite3.Connection]:
    """A connection that can only read, and that is interrupted when the work is no longer wanted.

    Raises:
        Lost: It is locked, damaged, or no SQLite database.
    """
    try:
        with _files(path) as (file, mode), closing(_connected(file, mode)) as connection:
            yield connection
    except sqlite3.Error as error:
        raise lost(error) from None


def lost(error: sqlite3.Error) -> Lost:
    """What is wrong with a database, and what to do."""
    text = str(error)
    if "locked" in text or "busy" in text:
        return Lost("it is locked by another program: close that one, or copy the file", "timed out", theirs=True)
    if "interrupted" in text:
        return Lost("the time was over before it was read: ask again", "timed out")
    if "too big" in text:
        return Lost(
            f"a value in it is over the limit of {VALUE_BYTES // 1_000_000} MB: leave it out of a view", "refused"
        )
    if "not a database" in text:
        return Lost("it is no SQLite database, or an encrypted one: check the file")
    if "malformed" in text or "disk I/O" in text:
        return Lost("it is damaged: run `sqlite3 FILE .recover` and use the result")
    return Lost(f"SQLite cannot read it ({' '.join(text.split())[:100]}): check it with sqlite3")


def stamp(path: Path) -> str:
    """Changes when the file or its write-ahead log changes."""
    parts = (part.stat() for part in (path, _beside(path, "-wal")) if part.exists())
    return "|".join(f"{stat.st_size}-{stat.st_mtime_ns}-{stat.st_ctime_ns}" for stat in parts)


@contextmanager
def _files(path: Path) -> Iterator[tuple[Path, str]]:
    """The file to open and how: what a writer left half done when it died is finished in a copy."""
    if not _left_open(path):
        yield path, "mode=ro&immutable=1" if _unused_wal(path) else "mode=ro"
        return
    parts = [part for part in (path, _beside(path, "-wal"), _beside(path, "-journal")) if part.exists()]
    if sum(part.stat().st_size for part in parts) > COPY_BYTES:
        raise Lost("its writer died and left it open: open it once with its own program", "refused")
    with tempfile.TemporaryDirectory(prefix="interlock-") as folder:
        for part in parts:
            shutil.copyfile(part, Path(folder) / part.name)
        yield Path(folder) / path.name, "mode=rw"


def _left_open(path: Path) -> bool:
    """Whether a log lies beside it that nobody uses: SQLite would have to write before it could read."""
    if _beside(path, "-wal").exists():
        return not _beside(path, "-shm").exists()
    if not _beside(path, "-journal").exists():
        return False
    with closing(sqlite3.connect(f"{path.as_uri()}?mode=ro", uri=True, timeout=WAIT_SECONDS)) as connection:
        try:
            connection.execute("SELECT count(*) FROM sqlite_master").fetchone()
        except sqlite3.OperationalError as error:
            return "readonly" in str(error)
    return False


def _unused_wal(path: Path) -> bool:
    """A file in WAL mode that nobody has open is read as it stands, or SQLite would put files beside it."""
    with path.open("rb") as file:
        header = file.read(20)
    return len(header) == 20 and header[18] == 2 and not _beside(path, "-wal").exists()


def _connected(path: Path, mode: str) -> sqlite3.Connection:
    connection = sqlite3.connect(f"{path.as_uri()}?{mode}", uri=True, timeout=WAIT_SECONDS)
    connection.text_factory = lambda data: data.decode("utf-8", errors="replace").replace("\0", " ")
    connection.setlimit(sqlite3.SQLITE_LIMIT_LENGTH, VALUE_BYTES)
    connection.set_progress_handler(lambda: not going_on(), STEPS)
    connection.execute("SELECT count(*) FROM sqlite_master").fetchone()
    connection.execute("PRAGMA query_only = ON")
    connection.execute("PRAGMA trusted_schema = OFF")  # views may call nothing that could act
    return connection


def _beside(path: Path, suffix: str) -> Path:
    return path.with_name(path.name + suffix)
