"""Index: the words of one root (a folder, a database) in SQLite FTS5, kept in the data folder between questions.

One file a root, so that a question pays for its own root only and words are as rare as they are there. Safe with
several threads and processes: WAL, one writer at a time. A file that is damaged is made again, never fatal.
"""

import hashlib
import os
import re
import sqlite3
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from nodes.sources.collecting import Lost
from nodes.sources.text import Document, passages
from nodes.text.common import COMMON

SCHEMA = "1"
INDEXES_KEPT = 100
BUSY_SECONDS = 10.0
BATCH = 200
QUERY_CHARACTERS = 4_000
QUERY_WORDS = 64
PASSAGES_PER_SOURCE = 2
WEIGHTS = "bm25(3.0, 2.0, 1.0)"
"""Title, path, text."""

_TABLES = f"""
CREATE TABLE IF NOT EXISTS about (key TEXT PRIMARY KEY, value TEXT);
CREATE TABLE IF NOT EXISTS sources (
    id INTEGER PRIMARY KEY, name TEXT UNIQUE, stamp TEXT, title TEXT, date TEXT, lost TEXT, status TEXT, text TEXT);
CREATE TABLE IF NOT EXISTS spans (id INTEGER PRIMARY KEY, source INTEGER, first INTEGER, last INTEGER, location TEXT);
CREATE INDEX IF NOT EXISTS spans_source ON spans (source);
CREATE VIRTUAL TABLE IF NOT EXISTS words USING fts5(title, path, text, tokenize='porter unicode61 remove_diacritics 2');
INSERT INTO words (words, rank) VALUES ('rank', '{WEIGHTS}');
INSERT OR IGNORE INTO about VALUES ('schema', '{SCHEMA}');
"""
_SEARCH = """
SELECT sources.name, sources.title, sources.date, spans.first, spans.last, spans.location, hits.text, -hits.rank
FROM (SELECT rowid, text, rank FROM words WHERE words MATCH ? ORDER BY rank LIMIT ?) AS hits
JOIN spans ON spans.id = hits.rowid JOIN sources ON sources.id = spans.source ORDER BY hits.rank
"""
_WORD = re.compile(r"\w+")


@dataclass(frozen=True)
class Hit:
    """One passage that was found."""

    name: str
    title: str
    date: str
    start: int
    end: int
    location: str
    text: str
    score: float


def data_folder() -> Path:
    """Where Interlock keeps its files: INTERLOCK_DATA, else the user's data folder. It is made when missing."""
    from platformdirs import user_data_path

    folder = Path(os.environ.get("INTERLOCK_DATA") or user_data_path("interlock"))
    folder.mkdir(parents=True, exist_ok=True, mode=0o700)
    return folder


def match_of(query: str) -> str:
    """A query as an FTS5 expression: any of its words; nothing in it is syntax. Empty when it has no words."""
    words = list(dict.fromkeys(_WORD.findall(query[:QUERY_CHARACTERS].lower())))
    telling = [word for word in words if word not in COMMON] or words
    return " OR ".join(f'"{word}"' for word in telling[:QUERY_WORDS])


class Index:
    """The index of one root. Everything here blocks: call it in a thread.

    Args:
        root: What is indexed: the folder's or the database's real path.
        folder: Where index files are kept; `data_folder()/index` when not given.
    """

    def __init__(self, root: str, folder: Path | None = None) -> None:
        kept = folder or data_folder() / "index"
        kept.mkdir(parents=True, exist_ok=True)
        self.path = kept / f"{hashlib.sha256(root.encode()).hexdigest()[:24]}.sqlite"

    def refresh(
        self, stamps: Mapping[str, str], read: Callable[[str], Document], go_on: Callable[[], bool] = lambda: True
    ) -> bool:
        """Bring the index up to date: read what is new or changed, forget what is gone.

        Args:
            stamps: Every name there is now with a stamp that changes when it changes.
            read: Reads one of them; `Lost` is remembered with its reason and not tried again until it changes.
            go_on: Asked between documents; False ends the work, what was read is kept.

        Returns:
            Whether everything was read.
        """
        with self._open() as database:
            known = dict(database.execute("SELECT name, stamp FROM sources"))
            gone = [name for name in known if name not in stamps]
            changed = [name for name, stamp in stamps.items() if known.get(name) != stamp]
            if not gone and not changed:
                return True
            for start in range(0, max(1, len(changed)), BATCH):
                if not go_on():
                    return False
                self._batch(database, gone if start == 0 else [], changed[start : start + BATCH], stamps, read, go_on)
            return go_on() or not changed

    def replace(self, stamp: str, documents: Callable[[], Iterable[Document]]) -> None:
        """Make the index anew from these documents unless it was made under the same stamp."""
        with self._open() as database:
            if database.execute("SELECT value FROM about WHERE key = 'stamp'").fetchone() == (stamp,):
                return
            with _writing(database):
                for table in ("sources", "spans", "words"):
                    database.execute(f"DELETE FROM {table}")  # noqa: S608 - names from this file
                for document in documents():
                    _add(database, document, stamp)
                database.execute("INSERT OR REPLACE INTO about VALUES ('stamp', ?)", (stamp,))

    def search(self, query: str, limit: int) -> list[Hit]:
        """The best passages for a query, at most `PASSAGES_PER_SOURCE` of one source."""
        match, seen, hits = match_of(query), dict[str, int](), list[Hit]()
        if not match:
            return hits
        with self._open() as database:
            for row in database.execute(_SEARCH, (match, limit * PASSAGES_PER_SOURCE)):
                seen[row[0]] = seen.get(row[0], 0) + 1
                if seen[row[0]] <= PASSAGES_PER_SOURCE and len(hits) < limit:
                    hits.append(Hit(*row))
        return hits

    def lost(self) -> list[tuple[str, str, str]]:
        """(name, status, reason) of what could not be read."""
        with self._open() as database:
            found = database.execute("SELECT name, status, lost FROM sources WHERE lost != '' ORDER BY name LIMIT 100")
            return found.fetchall()

    def text_of(self, name: str) -> str | None:
        """The stored text of one source, None when there is no such source."""
        with self._open() as database:
            row = database.execute("SELECT text FROM sources WHERE name = ?", (name,)).fetchone()
            return row[0] if row else None

    def _batch(
        self,
        database: sqlite3.Connection,
        gone: list[str],
        changed: list[str],
        stamps: Mapping[str, str],
        read: Callable[[str], Document],
        go_on: Callable[[], bool],
    ) -> None:
        with _writing(database):
            for name in gone:
                _remove(database, name)
            for name in changed:
                if not go_on():
                    return
                _remove(database, name)
                _read_into(database, name, stamps[name], read)

    @contextmanager
    def _open(self) -> Iterator[sqlite3.Connection]:
        """A connection; a damaged file is put away and made again, once."""
        try:
            database = self._connect()
        except sqlite3.DatabaseError as error:
            if isinstance(error, sqlite3.OperationalError) and "locked" in str(error):
                raise Lost("the index is in use by another process: try again", "timed out") from None
            for suffix in ("", "-wal", "-shm"):
                Path(f"{self.path}{suffix}").unlink(missing_ok=True)
            database = self._connect()
        try:
            yield database
        finally:
            database.close()

    def _connect(self) -> sqlite3.Connection:
        fresh = not self.path.exists()
        if fresh:
            _make_room(self.path.parent)
        database = sqlite3.connect(self.path, timeout=BUSY_SECONDS, isolation_level=None, check_same_thread=False)
        try:
            _prepare(database, fresh)
        except sqlite3.DatabaseError:
            database.close()
            raise
        return database


def _prepare(database: sqlite3.Connection, fresh: bool) -> None:
    if fresh:
        database.execute("PRAGMA journal_mode = WAL")
    database.execute("PRAGMA synchronous = NORMAL")
    try:
        row = database.execute("SELECT value FROM about WHERE key = 'schema'").fetchone()
    except sqlite3.OperationalError as error:
        if "no such table" not in str(error):
            raise
        database.executescript(f"BEGIN IMMEDIATE; {_TABLES} COMMIT;")
        return
    if row != (SCHEMA,):
        raise sqlite3.DatabaseError("made by another version")


@contextmanager
def _writing(database: sqlite3.Connection) -> Iterator[None]:
    database.execute("BEGIN IMMEDIATE")
    try:
        yield
    except BaseException:
        database.execute("ROLLBACK")
        raise
    database.execute("COMMIT")


def _read_into(database: sqlite3.Connection, name: str, stamp: str, read: Callable[[str], Document]) -> None:
    try:
        _add(database, read(name), stamp)
    except Lost as error:
        _note_lost(database, name, stamp, error.status, str(error))
    except OSError as error:
        _note_lost(database, name, stamp, "failed", f"it cannot be opened ({error.strerror or type(error).__name__})")
    except Exception as error:  # a parser's own fault costs this file, not the folder
        _note_lost(database, name, stamp, "failed", f"it cannot be read ({type(error).__name__})")


def _add(database: sqlite3.Connection, document: Document, stamp: str) -> None:
    path = " ".join(_WORD.findall(document.name.replace("_", " ")))
    row = (document.name, stamp, document.title, document.date, "", "ok", document.text)
    added = database.execute(
        "INSERT OR REPLACE INTO sources (name, stamp, title, date, lost, status, text) VALUES (?, ?, ?, ?, ?, ?, ?)",
        row,
    )
    for first, last in passages(document.text):
        span = database.execute(
            "INSERT INTO spans (source, first, last, location) VALUES (?, ?, ?, ?)",
            (added.lastrowid, first, last, document.location(first)),
        )
        database.execute(
            "INSERT INTO words (rowid, title, path, text) VALUES (?, ?, ?, ?)",
            (span.lastrowid, document.title, path, document.text[first:last]),
        )


def _note_lost(database: sqlite3.Connection, name: str, stamp: str, status: str, reason: str) -> None:
    database.execute(
        "INSERT OR REPLACE INTO sources (name, stamp, title, date, lost, status, text) VALUES (?, ?, ?, '', ?, ?, '')",
        (name, stamp, name, reason, status),
    )


def _remove(database: sqlite3.Connection, name: str) -> None:
    found = database.execute("SELECT id FROM sources WHERE name = ?", (name,)).fetchone()
    if found:
        spans = [row[0] for row in database.execute("SELECT id FROM spans WHERE source = ?", found)]
        database.executemany("DELETE FROM words WHERE rowid = ?", ((span,) for span in spans))
        database.execute("DELETE FROM spans WHERE source = ?", found)
        database.execute("DELETE FROM sources WHERE id = ?", found)


def _make_room(folder: Path) -> None:
    """The indexes that were used longest ago go when there are too many."""
    files = sorted(folder.glob("*.sqlite"), key=lambda file: file.stat().st_mtime)
    for file in files[: max(0, len(files) - INDEXES_KEPT + 1)]:
        for suffix in ("", "-wal", "-shm"):
            Path(f"{file}{suffix}").unlink(missing_ok=True)
