"""Database: the file `runs.sqlite`, made, checked and opened. Everything here but `connected` blocks.

The file and its folder are their owner's alone. Deleted rows are overwritten with zeros, because checkpoints hold what
sources said; the pages that they leave are used again, and given back when they are many.
"""

import os
import sqlite3
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, closing
from pathlib import Path
from typing import TYPE_CHECKING, Final

from interlock.claim import in_turn
from interlock.exits import BadUsage

if TYPE_CHECKING:
    import aiosqlite

APPLICATION: Final = 0x494C4B31
"""SQLite's `application_id`: the file is ours."""

VERSION: Final = 1
BUSY_SECONDS: Final = 30.0
LOG_BYTES: Final = 4_000_000
"""What is left of SQLite's write-ahead log once it has been taken over."""

TABLES: Final = f"""
PRAGMA auto_vacuum = INCREMENTAL;
PRAGMA journal_mode = WAL;
BEGIN IMMEDIATE;
CREATE TABLE runs (
    id TEXT PRIMARY KEY, name TEXT NOT NULL, question TEXT NOT NULL, job TEXT NOT NULL, began REAL NOT NULL,
    ended REAL, outcome TEXT, stop_reason TEXT NOT NULL DEFAULT '', size INTEGER NOT NULL DEFAULT 0, answer TEXT);
PRAGMA application_id = {APPLICATION};
PRAGMA user_version = {VERSION};
COMMIT;
"""
EVERY_TIME: Final = f"""
PRAGMA synchronous = NORMAL;
PRAGMA secure_delete = ON;
PRAGMA journal_size_limit = {LOG_BYTES};
"""


def prepare(path: Path) -> None:
    """Make the file when it is not there.

    Raises:
        BadUsage: It is damaged, or not ours.
        OSError, sqlite3.OperationalError: Nothing can be written there.
    """
    with in_turn(path.with_suffix(".lock")):
        if not path.exists():
            os.close(os.open(path, os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600))
        try:
            with closing(sqlite3.connect(path, timeout=BUSY_SECONDS, isolation_level=None)) as database:
                _make(database, path)
        except sqlite3.OperationalError:
            raise
        except sqlite3.DatabaseError as error:
            raise damaged(path, error) from None


def damaged(path: Path, error: sqlite3.Error) -> BadUsage:
    """What to tell when the file cannot be read."""
    return BadUsage(f"{path} cannot be read ({error}): move it away, the runs in it are lost, and a new one is made")


@asynccontextmanager
async def connected(path: Path | None) -> "AsyncIterator[aiosqlite.Connection]":
    """A connection to a prepared file; without one, to a database in memory."""
    import aiosqlite

    async with aiosqlite.connect(path or ":memory:", timeout=BUSY_SECONDS) as database:
        await database.executescript(EVERY_TIME if path else TABLES)
        yield database


def _make(database: sqlite3.Connection, path: Path) -> None:
    (application,) = database.execute("PRAGMA application_id").fetchone()
    (version,) = database.execute("PRAGMA user_version").fetchone()
    (tables,) = database.execute("SELECT count(*) FROM sqlite_master").fetchone()
    if not tables:
        database.executescript(TABLES)
    elif application != APPLICATION:
        raise BadUsage(f"{path} belongs to another program: move it away, or name another folder in INTERLOCK_DATA")
    elif version != VERSION:
        raise BadUsage(f"{path} was made by another version of interlock: move it away, or use that version")
