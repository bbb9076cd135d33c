"""SQLite: the store of one machine, in one file. Several processes may share it; each waits for the others' writes."""

import os
import sqlite3
import uuid
from collections.abc import Callable, Sequence
from contextlib import ExitStack, closing, suppress
from pathlib import Path

import orjson

from guards.stores import CannotOpen, Row, Rows, StoreDown
from guards.stores.queued import QueuedStore, text_of

APPLICATION = 0x494C4B32
"""SQLite's `application_id`: the file is ours."""

VERSION = 1
BUSY_SECONDS = 5.0
KEYS_AT_ONCE = 500
LOG_BYTES = 4_000_000
PAGE_BYTES = 1024
"""A change writes few small rows, and whole pages: small ones cost a quarter less."""

_TABLES = f"""
PRAGMA page_size = {PAGE_BYTES};
PRAGMA journal_mode = WAL;
BEGIN;
CREATE TABLE rows (key TEXT PRIMARY KEY, value TEXT NOT NULL, until REAL NOT NULL) WITHOUT ROWID;
CREATE INDEX rows_until ON rows (until) WHERE until > 0;
PRAGMA application_id = {APPLICATION};
PRAGMA user_version = {VERSION};
COMMIT;
"""
_WRITE = (
    "INSERT INTO rows VALUES (?, ?, ?) ON CONFLICT (key) DO UPDATE SET value = excluded.value, until = excluded.until"
)
_AFTER = "SELECT key, value FROM rows WHERE key >= ? AND key > ? AND key < ? ORDER BY key LIMIT ?"
_DUE = "SELECT key, value FROM rows WHERE key >= ? AND key < ? AND until > 0 AND until < ? ORDER BY until LIMIT ?"


class SqliteDatabase:
    """The open file. A killed process loses nothing that was written; the machine's power failing may lose the end.

    Args:
        path: Made when it is missing, with its folder; it is its owner's alone.

    Raises:
        CannotOpen: It cannot be made or read, or is not ours.
    """

    def __init__(self, path: Path) -> None:
        try:
            _make(path)
            self._database = _opened(path)
        except (OSError, sqlite3.Error) as error:
            raise CannotOpen(f"{path} cannot be opened ({type(error).__name__})") from None
        self._database.execute("PRAGMA synchronous = NORMAL")
        self._database.execute(f"PRAGMA journal_size_limit = {LOG_BYTES}")

    def transact(self, keys: Sequence[str], work: Callable[[dict[str, Row | None]], Rows]) -> None:
        """Read rows, let `work` say what to write, write it."""
        try:
            self._database.execute("BEGIN IMMEDIATE")
            try:
                self._write(work(self._read(keys)))
            except BaseException:
                self._database.execute("ROLLBACK")
                raise
            self._database.execute("COMMIT")
        except sqlite3.Error as error:
            raise StoreDown(_why(error)) from None

    def due(self, prefix: str, before: float, at_most: int) -> Rows:
        """Rows whose `until` is over, the oldest first."""
        try:
            found = self._database.execute(_DUE, (prefix, prefix + "\U0010ffff", before, at_most))
            return {key: orjson.loads(value) for key, value in found}
        except sqlite3.Error as error:
            raise StoreDown(_why(error)) from None

    def after(self, prefix: str, key: str, at_most: int) -> Rows:
        """Rows whose keys begin so and come after `key`, in the order of their keys."""
        try:
            found = self._database.execute(_AFTER, (prefix, key, prefix + "\U0010ffff", at_most))
            return {key: orjson.loads(value) for key, value in found}
        except sqlite3.Error as error:
            raise StoreDown(_why(error)) from None

    def close(self) -> None:
        """Close the file."""
        self._database.close()

    def _read(self, keys: Sequence[str]) -> dict[str, Row | None]:
        rows: dict[str, Row | None] = dict.fromkeys(keys)
        for start in range(0, len(keys), KEYS_AT_ONCE):
            some = keys[start : start + KEYS_AT_ONCE]
            marks = ",".join("?" * len(some))
            found = self._database.execute(f"SELECT key, value FROM rows WHERE key IN ({marks})", some)  # noqa: S608
            rows.update((key, orjson.loads(value)) for key, value in found)
        return rows

    def _write(self, rows: Rows) -> None:
        kept = [(key, text_of(row), row.get("until", 0)) for key, row in rows.items() if row is not None]
        gone = [(key,) for key, row in rows.items() if row is None]
        if kept:
            self._database.executemany(_WRITE, kept)
        if gone:
            self._database.executemany("DELETE FROM rows WHERE key = ?", gone)


def sqlite_store(path: Path) -> QueuedStore:
    """The store in this file; nothing is opened yet."""
    return QueuedStore(lambda: SqliteDatabase(path))


def _make(path: Path) -> None:
    """Make the file elsewhere and give it its name when it is whole: several processes may do so at the same time."""
    path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    if path.exists():
        return
    made = path.with_name(f"{path.name}.{uuid.uuid4().hex}")
    try:
        os.close(os.open(made, os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600))
        with closing(sqlite3.connect(made, isolation_level=None)) as database:
            database.executescript(_TABLES)
        with suppress(FileExistsError):  # another process was quicker
            path.hardlink_to(made)
    finally:
        made.unlink(missing_ok=True)


def _opened(path: Path) -> sqlite3.Connection:
    with ExitStack() as stack:
        database = stack.enter_context(closing(sqlite3.connect(path, timeout=BUSY_SECONDS, isolation_level=None)))
        (application,) = database.execute("PRAGMA application_id").fetchone()
        (version,) = database.execute("PRAGMA user_version").fetchone()
        if (application, version) != (APPLICATION, VERSION):
            raise CannotOpen(f"{path} belongs to another program or version: move it away")
        stack.pop_all()  # it stays open
    return database


def _why(error: sqlite3.Error) -> str:
    busy = getattr(error, "sqlite_errorcode", 0) & 0xFF == sqlite3.SQLITE_BUSY
    return "is kept busy by another process" if busy else f"cannot be read or written ({type(error).__name__})"
