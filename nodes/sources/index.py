"""Index: the text of one root (a folder, a database) and its words, kept in the data folder between questions.

One file a root, so that a question pays for its own root only and words are as rare as they are there. Safe with
several threads and processes: WAL, one writer at a time, whole transactions. A damaged file is made again, never fatal.
The words are SQLite's FTS5, or tantivy with INTERLOCK_INDEX=tantivy.
"""

import hashlib
import os
import shutil
import sqlite3
from array import array
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any, TypeVar

from guards.folder import data_folder
from nodes.sources.collecting import Lost, going_on
from nodes.sources.text import LONG, Document, Hit, about, passages, without_secrets
from nodes.sources.words import Damaged, Fts5, Words, spoken
from state.guarded import Status

SCHEMA = 6
INDEXES_KEPT = 100
BUSY_SECONDS = 0.5
BUSY_TRIES = 20
BATCH = 2_000
BATCH_CHARACTERS = 5_000_000
PASSAGES_PER_SOURCE = 2
LOOKED_THROUGH = 5
"""Times as many passages are ranked as are wanted."""

FEW = 20
"""Passages of a root that are all looked at."""

LOST_SHOWN = 100

UNFINISHED = "the time was over before everything was read: ask again, it goes on from there"
OCCUPIED = "another process is writing to its index, so what is new was not read: ask again"

_TABLES = (
    "CREATE TABLE about (key TEXT PRIMARY KEY, value TEXT)",
    "CREATE TABLE sources (id INTEGER PRIMARY KEY, name TEXT UNIQUE, stamp, title TEXT, date TEXT, status TEXT, "
    "reason TEXT)",
    "CREATE TABLE spans (id INTEGER PRIMARY KEY, source INTEGER, first INTEGER, location TEXT, title TEXT, path TEXT, "
    "text TEXT)",
    "CREATE INDEX spans_source ON spans (source)",
    "CREATE INDEX sources_lost ON sources (name) WHERE reason != ''",
)
_HITS = """
SELECT spans.id, name, sources.title, date, first, location, text, path
FROM spans JOIN sources ON sources.id = spans.source WHERE spans.id IN ({})
"""

T = TypeVar("T")
Read = Document | Lost
Entry = tuple[str, int | str, Read]
"""Name, stamp, and what reading it gave."""


class Occupied(Exception):
    """Another process holds the lock for writing."""


def with_index(root: str, work: Callable[["Index"], T]) -> T:
    """Do something with the index of a root. Blocks: call it in a thread.

    Args:
        root: What is indexed: the folder's or the database's real path.
        work: Called with the open index; once more with an empty one when the file proves damaged.

    Raises:
        Lost: The index is locked, or cannot be written.
    """
    path = _path_of(root)
    try:
        try:
            return _opened(path, work)
        except (sqlite3.DatabaseError, Damaged) as error:
            if type(error) not in (sqlite3.DatabaseError, Damaged):  # its subclasses tell of other things
                raise
            remove(path)
            return _opened(path, work)
    except Occupied:
        raise Lost("its index is in use by another process: ask again", "timed out") from None
    except sqlite3.OperationalError as error:
        why = "is locked by another process" if _is_locked(error) else "cannot be written: free disk space"
        raise Lost(f"its index {why}, or set INTERLOCK_DATA to another folder", "failed") from None


class Index:
    """The open index of one root.

    Args:
        database: A connection to its file.
        words: Finds passages by their words.
    """

    def __init__(self, database: sqlite3.Connection, words: Words) -> None:
        self.database = database
        self.words = words

    def refresh(self, stamps: Mapping[str, int], read: Callable[[str], Document]) -> str:
        """Bring it up to date: read what is new or changed, forget what is gone.

        Args:
            stamps: Every name there is now with a stamp that changes when it changes.
            read: Reads one of them; what it raises is remembered and not tried again until the name's stamp changes.

        Returns:
            Empty when it is up to date, else why not: the time was over, or another process is writing. What was read
            until then is kept.
        """
        digest = hashlib.blake2b("\0".join(stamps).encode() + array("q", stamps.values()).tobytes()).hexdigest()
        if self._about("stamp") == digest:
            return ""
        known = dict(self.database.execute("SELECT name, stamp FROM sources"))
        gone = [name for name in known if name not in stamps]
        changed = sorted(name for name, stamp in stamps.items() if known.get(name) != stamp)
        try:
            self._write([], gone)
            whole = self._read(changed, stamps, read)
            if whole:
                self._write([], stamp=digest, tidy=len(changed) >= BATCH)
        except Occupied:
            return OCCUPIED
        return "" if whole else UNFINISHED

    def replace(self, stamp: str, documents: Callable[[], Iterable[tuple[str, Read]]]) -> str:
        """Make it anew from these documents unless it was made under the same stamp.

        Returns:
            What `refresh` returns; what was read until the time was over is kept until the next try.
        """
        if self._about("stamp") == stamp:
            return ""
        try:
            with self._writing():
                self._remove([name for (name,) in self.database.execute("SELECT name FROM sources")])
                whole = self._add_while_wanted(documents(), stamp)
                self._note("stamp", stamp if whole else "")
        except Occupied:
            return OCCUPIED
        return "" if whole else UNFINISHED

    def search(self, query: str, limit: int) -> list[Hit]:
        """The best passages for a query: at most `PASSAGES_PER_SOURCE` of each source, then what else there is."""
        scores = dict(self.words.find(self.database, query, limit * LOOKED_THROUGH))
        sources = dict(self._rows("SELECT id, source FROM spans WHERE id IN ({})", list(scores)))
        best = _spread([number for number in scores if number in sources], sources)[:limit]
        return self._hits(best, scores)

    def others(self, hits: Sequence[Hit]) -> list[Hit]:
        """The passages that are not among these hits, where there are hits and at most `FEW` passages in all.

        What is looked for may stand there in other words.
        """
        if not 0 < len(hits) < FEW:
            return []
        numbers = [number for (number,) in self.database.execute("SELECT id FROM spans LIMIT ?", (FEW + 1,))]
        known = {(hit.name, hit.start) for hit in hits}
        few = self._hits(numbers, dict.fromkeys(numbers, 0.0)) if len(numbers) <= FEW else []
        return [hit for hit in few if (hit.name, hit.start) not in known]

    def _hits(self, best: Sequence[int], scores: Mapping[int, float]) -> list[Hit]:
        hits = {
            number: Hit(name, title, date, first, location, text, scores[number], path)
            for number, name, title, date, first, location, text, path in self._rows(_HITS, best)
        }
        return [hits[number] for number in best if number in hits]

    def lost(self) -> list[tuple[str, Status, str]]:
        """(name, status, reason) of what was not read, or not read whole; at most `LOST_SHOWN`."""
        sql = "SELECT name, status, reason FROM sources WHERE reason != '' ORDER BY name LIMIT ?"
        return self.database.execute(sql, (LOST_SHOWN,)).fetchall()

    def is_empty(self) -> bool:
        """Whether there is nothing in it to find."""
        return self.database.execute("SELECT 1 FROM spans LIMIT 1").fetchone() is None

    def _rows(self, sql: str, ids: Sequence[int]) -> list[Any]:
        return self.database.execute(sql.format(",".join("?" * len(ids))), ids).fetchall()

    def _about(self, key: str) -> str:
        row = self.database.execute("SELECT value FROM about WHERE key = ?", (key,)).fetchone()
        return str(row[0]) if row else ""

    def _note(self, key: str, value: str) -> None:
        self.database.execute("INSERT OR REPLACE INTO about VALUES (?, ?)", (key, value))

    def _read(self, names: Sequence[str], stamps: Mapping[str, int], read: Callable[[str], Document]) -> bool:
        """Read and write in batches, so that nobody waits for a slow file; False when the time was over."""
        batch, size, whole = list[Entry](), 0, True
        for name in names:
            entry = name, stamps[name], _kept(_one(name, read))
            if not going_on():  # this one may be half read
                self._write(batch)
                return False
            if isinstance(entry[2], Lost) and entry[2].status == "timed out":
                whole = False  # to be tried again
                continue
            batch.append(entry)
            size += _length(entry)
            if len(batch) >= BATCH or size >= BATCH_CHARACTERS:
                self._write(batch)
                batch, size = [], 0
        self._write(batch)
        return whole

    def _add_while_wanted(self, documents: Iterable[tuple[str, Read]], stamp: str) -> bool:
        batch, whole = list[Entry](), True
        for name, read in documents:
            batch.append((name, stamp, _kept(read)))
            whole = whole and not (isinstance(read, Lost) and read.status == "timed out")
            if len(batch) >= BATCH:
                self._add(batch)
                batch = []
                if not going_on():
                    return False
        self._add(batch)
        return whole

    def _write(self, entries: Sequence[Entry], gone: Sequence[str] = (), stamp: str = "", tidy: bool = False) -> None:
        if not (entries or gone or stamp):
            return
        with self._writing():
            self._remove([*gone, *(name for name, _, _ in entries)])
            self._add(entries)
            self._note("stamp", stamp)
            if tidy:
                self.words.tidy(self.database)

    def _remove(self, names: Iterable[str]) -> None:
        for name in names:
            row = self.database.execute("SELECT id FROM sources WHERE name = ?", (name,)).fetchone()
            if row:
                self.words.remove(self.database, row[0])
                self.database.execute("DELETE FROM spans WHERE source = ?", row)
                self.database.execute("DELETE FROM sources WHERE id = ?", row)

    def _add(self, entries: Sequence[Entry]) -> None:
        source, first = self._next("sources"), self._next("spans")
        sources, spans = [], []
        for number, (name, stamp, read) in enumerate(entries, source):
            sources.append((number, name, stamp, *_described(name, read)))
            if isinstance(read, Document):
                spans += [(number, *span) for span in _spans(read)]
        self.database.executemany("INSERT OR IGNORE INTO sources VALUES (?, ?, ?, ?, ?, ?, ?)", sources)
        rows = ((number, *span) for number, span in enumerate(spans, first))
        self.database.executemany("INSERT INTO spans VALUES (?, ?, ?, ?, ?, ?, ?)", rows)
        self.words.add(self.database, first)

    def _next(self, table: str) -> int:
        return int(self.database.execute(f"SELECT ifnull(max(id), 0) + 1 FROM {table}").fetchone()[0])  # noqa: S608

    @contextmanager
    def _writing(self) -> Iterator[None]:
        _begin(self.database)
        try:
            yield
            self.words.commit()
        except BaseException:
            self.database.execute("ROLLBACK")
            raise
        self.database.execute("COMMIT")


def remove(path: Path) -> None:
    """Delete one index; processes that have it open keep what they see."""
    for suffix in ("", "-wal", "-shm"):
        Path(f"{path}{suffix}").unlink(missing_ok=True)
    shutil.rmtree(path.with_suffix(""), ignore_errors=True)


def _path_of(root: str) -> Path:
    """The index's file; each kind of words has its own."""
    kind = os.environ.get("INTERLOCK_INDEX") or "fts5"
    if kind not in ("fts5", "tantivy"):
        raise Lost("INTERLOCK_INDEX must be fts5 or tantivy: change it, or leave it out")
    try:
        folder = data_folder() / "index"
        folder.mkdir(exist_ok=True)
    except OSError as error:
        why = error.strerror or type(error).__name__
        raise Lost(f"the data folder cannot be made ({why}): set INTERLOCK_DATA to a folder that can") from None
    return folder / f"{hashlib.sha256(os.fsencode(root)).hexdigest()[:24]}.{kind}.sqlite"


def _words(path: Path) -> Words:
    if path.suffixes[0] == ".fts5":
        return Fts5()
    try:
        from nodes.sources.large import Tantivy
    except ImportError:
        raise Lost("INTERLOCK_INDEX=tantivy needs tantivy: pip install 'interlock[large]', or leave it out") from None
    return Tantivy(path.with_suffix(""))


def _opened(path: Path, work: Callable[[Index], T]) -> T:
    if not path.exists():
        _make_room(path.parent)
    words = _words(path)
    with closing(sqlite3.connect(path, timeout=BUSY_SECONDS, isolation_level=None)) as database:
        _prepare(database, words)
        os.utime(path)  # used now: it is not the one to go when there are too many
        return work(Index(database, words))


def _prepare(database: sqlite3.Connection, words: Words) -> None:
    """Make the tables in a new file; refuse what another version made."""
    if _version(database) == 0:
        _patiently(lambda: database.execute("PRAGMA journal_mode = WAL"))
        _begin(database)
        if _version(database) == 0:
            for statement in _TABLES:
                database.execute(statement)
            words.make(database)
            database.execute(f"PRAGMA user_version = {SCHEMA}")
        database.execute("COMMIT")
    if _version(database) != SCHEMA:
        raise sqlite3.DatabaseError("made by another version")
    database.execute("PRAGMA synchronous = NORMAL")


def _version(database: sqlite3.Connection) -> int:
    return int(_patiently(lambda: database.execute("PRAGMA user_version").fetchone())[0])


def _begin(database: sqlite3.Connection) -> None:
    _patiently(lambda: database.execute("BEGIN IMMEDIATE"))


def _patiently(work: Callable[[], T]) -> T:
    """Wait for another process's lock, no longer than the work is wanted and `BUSY_TRIES * BUSY_SECONDS`."""
    for _ in range(BUSY_TRIES):
        try:
            return work()
        except sqlite3.OperationalError as error:
            if not _is_locked(error):
                raise
            if not going_on():
                break
    raise Occupied


def _is_locked(error: sqlite3.Error) -> bool:
    return "locked" in str(error) or "busy" in str(error)


def _one(name: str, read: Callable[[str], Document]) -> Read:
    """What reading gave; a parser's own fault costs this source, not the root."""
    try:
        return read(name)
    except Lost as error:
        return error
    except OSError as error:
        return Lost(f"it cannot be opened ({error.strerror or type(error).__name__}): check its permissions")
    except Exception as error:
        return Lost(f"it cannot be read ({type(error).__name__}): save it again, or in another format")


def _kept(read: Read) -> Read:
    """What of it is written."""
    return without_secrets(read) if isinstance(read, Document) else read


def _length(entry: Entry) -> int:
    return len(entry[2].text) if isinstance(entry[2], Document) else 0


def _described(name: str, read: Read) -> tuple[str, str, Status, str]:
    if isinstance(read, Document):
        return read.title, read.date, "ok", read.note
    return name, "", read.status, str(read)


def _spans(document: Document) -> Iterator[tuple[int, str, str, str, str]]:
    path = spoken(document.name)
    if len(document.text) > LONG:
        path += f" {about(document.text)}"
    for first, last in passages(document.text):
        yield first, document.location(first), document.title, path, document.text[first:last]


def _spread(spans: Sequence[int], sources: Mapping[int, int]) -> list[int]:
    """Every source's best passages first: one long source does not push out the others."""
    seen: Counter[int] = Counter()
    first, rest = list[int](), list[int]()
    for span in spans:
        seen[sources[span]] += 1
        (first if seen[sources[span]] <= PASSAGES_PER_SOURCE else rest).append(span)
    return first + rest


def _make_room(folder: Path) -> None:
    """The indexes that were used longest ago go when there are too many."""
    used = [(file.stat().st_mtime, file) for file in folder.glob("*.sqlite") if file.exists()]
    for _, file in sorted(used)[: max(0, len(used) - INDEXES_KEPT + 1)]:
        remove(file)
