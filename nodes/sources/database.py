"""Database: a SQLite file opened read-only, its text columns searched by their words. Nothing is ever written to it."""

import asyncio
import re
import sqlite3
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from nodes.sources.collecting import PASSAGES_PER_QUERY, Collecting, Found, Lost, collect, time_left
from nodes.sources.index import Hit, Index
from nodes.sources.text import Document
from state.evidence import Finding
from state.research import Asked

TABLES = 200
ROWS = 200_000
ROW_CHARACTERS = 100_000
WAIT_SECONDS = 2.0
TITLES = ("title", "name", "subject", "heading", "headline", "label")
DATES = ("date", "day", "published", "published_at", "created", "created_at", "updated_at", "time")

_ISO = re.compile(r"\d{4}-\d{2}-\d{2}")


@dataclass(frozen=True)
class Table:
    """What a table offers: its columns by what they are used for."""

    name: str
    columns: tuple[str, ...]
    title: str
    date: str


async def database(state: Asked) -> Collecting:
    """Search the SQLite files in `databases`."""

    async def look(place: str, queries: Sequence[str]) -> Found:
        return await asyncio.to_thread(_look, place, queries, time.monotonic() + time_left())

    queries = state.get("queries") or [state["question"]]
    return await collect("database", "database", state.get("databases") or [], queries, look)


def _look(place: str, queries: Sequence[str], end: float) -> Found:
    path = Path(place).expanduser()
    if not path.is_file():
        raise Lost("there is no such database file: check the path")
    path = path.resolve()
    index = Index(str(path))
    index.replace(_stamp(path), lambda: _rows(path, end))
    hits = [(query, hit) for query in queries for hit in index.search(query, PASSAGES_PER_QUERY)]
    return Found([_finding(hit, path, query) for query, hit in hits])


def _stamp(path: Path) -> str:
    """Changes when the file or its write-ahead log changes."""
    parts = [path, Path(f"{path}-wal")]
    return "|".join(f"{s.st_size}-{s.st_mtime_ns}" for part in parts if part.exists() and (s := part.stat()))


def _rows(path: Path, end: float) -> Iterator[Document]:
    """Every row with text, as one document each."""
    connection = _open(path)
    try:
        for table in _tables(connection):
            yield from _documents(connection, table, end)
    except sqlite3.Error as error:
        raise _lost(error) from None
    finally:
        connection.close()


def _open(path: Path) -> sqlite3.Connection:
    """A connection that cannot write, by its mode and by its own refusal."""
    try:
        connection = sqlite3.connect(f"{path.as_uri()}?{_mode(path)}", uri=True, timeout=WAIT_SECONDS)
        connection.execute("PRAGMA query_only = ON")
        connection.execute("SELECT count(*) FROM sqlite_master").fetchone()
    except sqlite3.Error as error:
        raise _lost(error) from None
    connection.text_factory = lambda data: data.decode("utf-8", errors="replace")
    return connection


def _mode(path: Path) -> str:
    """Read-only. A file in WAL mode that nobody has open is read as it stands, or SQLite would put files beside it."""
    with path.open("rb") as file:
        header = file.read(20)
    unused = len(header) == 20 and header[18] == 2 and not Path(f"{path}-wal").exists()
    return "mode=ro&immutable=1" if unused else "mode=ro"


def _lost(error: sqlite3.Error) -> Lost:
    text = str(error)
    if "locked" in text or "busy" in text:
        return Lost("the database is locked by another program: close that one or copy the file", "timed out")
    if "not a database" in text:
        return Lost("it is no SQLite database, or an encrypted one: check the file")
    return Lost("the database is damaged: run `sqlite3 FILE .recover` and use the result")


def _tables(connection: sqlite3.Connection) -> list[Table]:
    """The tables and views that have text in them."""
    names = connection.execute(
        "SELECT name FROM sqlite_master WHERE type IN ('table', 'view') AND name NOT LIKE 'sqlite~_%' ESCAPE '~' "
        "AND (sql IS NULL OR sql NOT LIKE 'CREATE VIRTUAL%') ORDER BY name LIMIT ?",
        (TABLES,),
    )
    return [table for (name,) in names.fetchall() if (table := _table(connection, name)).columns]


def _table(connection: sqlite3.Connection, name: str) -> Table:
    columns = [row[1] for row in connection.execute(f"PRAGMA table_info({_quoted(name)})")]
    lowered = {column.lower(): column for column in columns}
    title = next((lowered[word] for word in TITLES if word in lowered), "")
    date = next((lowered[word] for word in DATES if word in lowered), "")
    return Table(name, tuple(columns), title, date)


def _documents(connection: sqlite3.Connection, table: Table, end: float) -> Iterator[Document]:
    chosen = ", ".join(_quoted(column) for column in table.columns)
    try:
        rows = connection.execute(f"SELECT rowid, {chosen} FROM {_quoted(table.name)} LIMIT ?", (ROWS,))  # noqa: S608
    except sqlite3.OperationalError as error:
        if "no such column" not in str(error):
            raise
        rows = connection.execute(  # noqa: S608 - a view or a table without rowid: its rows are numbered
            f"SELECT row_number() OVER (), {chosen} FROM {_quoted(table.name)} LIMIT ?", (ROWS,)
        )
    for row in rows:
        if time.monotonic() > end:
            raise Lost("the time was over before every row was read", "timed out")
        document = _document(table, row[0], dict(zip(table.columns, row[1:], strict=True)))
        if document is not None:
            yield document


def _document(table: Table, row: object, values: dict[str, object]) -> Document | None:
    """A row as text: its values, labelled by their columns where there are several short ones."""
    words = {column: value for column, value in values.items() if isinstance(value, str) and value.strip()}
    if not words:
        return None
    title = str(words.get(table.title) or min(words.values(), key=len))[:200]
    body = _body(table, values)
    date = _ISO.match(str(values.get(table.date) or ""))
    return Document(
        f"{table.name}/{row}", title, body, date.group() if date else "", fixed=f"row {row} of {table.name}"
    )


def _body(table: Table, values: dict[str, object]) -> str:
    """What is stored for a row: long text stands for itself, the other columns as 'column: value'."""
    lines = []
    for column, value in values.items():
        if value is None or isinstance(value, bytes) or column == table.title:
            continue
        text = str(value)[:ROW_CHARACTERS]
        lines.append(text if isinstance(value, str) and len(text) > 80 else f"{column}: {text}")
    title = values.get(table.title)
    return "\n".join([str(title), *lines] if title and len(lines) != 1 else lines or [str(title)])


def _quoted(name: str) -> str:
    return '"' + name.replace('"', '""') + '"'


def _finding(hit: Hit, path: Path, query: str) -> Finding:
    return Finding(
        source_id=f"{path.name}#{hit.name}",
        kind="database",
        collector="database",
        title=hit.title,
        text=hit.text,
        place=str(path),
        location=hit.location,
        start=hit.start,
        end=hit.end,
        score=hit.score,
        date=hit.date,
        query=query,
    )
