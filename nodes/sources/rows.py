"""Rows: what stands in a database's tables and views, one document a row that has text."""

import re
import sqlite3
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from nodes.sources.collecting import Lost
from nodes.sources.sqlite_file import lost, opened
from nodes.sources.text import Document

TABLES = 200
ROWS = 200_000
ROW_CHARACTERS = 100_000
LABELLED = 80
"""Text up to this length is told with its column's name."""

TITLES = ("title", "name", "subject", "heading", "headline", "label")
DATES = ("date", "day", "published", "published_at", "created", "created_at", "updated_at", "time")

_ISO = re.compile(r"\d{4}-\d{2}-\d{2}")
_NAMES = """
SELECT name FROM sqlite_master WHERE type IN ('table', 'view') AND name NOT LIKE 'sqlite~_%' ESCAPE '~'
AND (sql IS NULL OR sql NOT LIKE 'CREATE VIRTUAL%') ORDER BY name
"""

Read = Document | Lost


@dataclass(frozen=True)
class Table:
    """What a table or view offers."""

    name: str
    columns: tuple[str, ...]
    title: str | None
    date: str | None


def documents(path: Path) -> Iterator[tuple[str, Read]]:
    """(name, document) of every row with text; a table that cannot be read is (name, `Lost`) and costs only itself.

    At most `ROWS` rows of `TABLES` tables are read. Virtual tables are left out: what they need may not be there.

    Raises:
        Lost: The database cannot be read at all.
    """
    with opened(path) as connection:
        names = [str(name) for (name,) in connection.execute(_NAMES)]
        left = ROWS
        for number, name in enumerate(names):
            if left <= 0 or number >= TABLES:
                yield (
                    name,
                    Lost(f"over the limit of {ROWS} rows and {TABLES} tables: make a smaller database", "refused"),
                )
                continue
            try:
                for read in _of_table(connection, name, left):
                    left -= 1
                    yield read
            except sqlite3.Error as error:
                yield name, lost(error)


def _of_table(connection: sqlite3.Connection, name: str, most: int) -> Iterator[tuple[str, Read]]:
    table = _table(connection, name)
    if not table.columns:
        return
    for count, (row, *values) in enumerate(_selected(connection, table)):
        if count >= most:
            yield name, Lost(f"only its first {count} rows were read: make a smaller database", "refused")
            return
        document = _document(table, row, values)
        if document is not None:
            yield document.name, document


def _table(connection: sqlite3.Connection, name: str) -> Table:
    columns = tuple(str(row[1]) for row in connection.execute(f"PRAGMA table_info({_quoted(name)})"))
    lowered = {column.lower(): column for column in columns}
    title = next((lowered[word] for word in TITLES if word in lowered), None)
    date = next((lowered[word] for word in DATES if word in lowered), None)
    return Table(name, columns, title, date)


def _selected(connection: sqlite3.Connection, table: Table) -> Iterator[tuple[object, ...]]:
    """The rows, each after its rowid; rows that have none are numbered. Blobs are not even loaded."""
    columns = ", ".join(_value(_quoted(column)) for column in table.columns)
    names = {column.lower() for column in table.columns}
    alias = next((word for word in ("rowid", "oid", "_rowid_") if word not in names), "NULL")
    for number, (row, *values) in enumerate(_tried(connection, alias, columns, _quoted(table.name)), 1):
        yield number if row is None else row, *values


def _tried(connection: sqlite3.Connection, alias: str, columns: str, source: str) -> sqlite3.Cursor:
    """A table WITHOUT ROWID, and with some builds of SQLite a view, refuses the question for it."""
    try:
        return connection.execute(f"SELECT {alias}, {columns} FROM {source}")  # noqa: S608 - quoted by `_quoted`
    except sqlite3.OperationalError as error:
        if "no such column" not in str(error):
            raise
        return connection.execute(f"SELECT NULL, {columns} FROM {source}")  # noqa: S608


def _value(column: str) -> str:
    return (
        f"CASE typeof({column}) WHEN 'blob' THEN NULL "
        f"WHEN 'text' THEN substr({column}, 1, {ROW_CHARACTERS + 1}) ELSE {column} END"
    )


def _document(table: Table, row: object, values: Sequence[object]) -> Document | None:
    """A row as text; None when no value in it is text."""
    cells = {column: value for column, value in zip(table.columns, values, strict=True) if value not in (None, "")}
    texts = [value for value in cells.values() if isinstance(value, str) and value.strip()]
    if not texts:
        return None
    title = cells.pop(table.title, "") if table.title is not None else ""
    body = _body(str(title), cells)
    date = _ISO.match(str(cells.get(table.date, "") if table.date is not None else ""))
    return Document(
        name=f"{table.name}/{row}",
        title=" ".join(str(title or min(texts, key=len)).split())[:200],
        text=body[:ROW_CHARACTERS],
        date=date.group() if date else "",
        fixed=f"row {row} of {table.name}",
        note="" if len(body) <= ROW_CHARACTERS else f"only its first {ROW_CHARACTERS} characters were read",
    )


def _body(title: str, cells: dict[str, object]) -> str:
    """A row's text, a paragraph a column: no sentence runs on; the title first, unless one text is all."""
    parts = [_part(column, value) for column, value in cells.items()]
    return "\n\n".join([title, *parts] if title and len(parts) != 1 else parts)


def _part(column: str, value: object) -> str:
    """Long text as it stands, the rest as 'column: value'."""
    return value if isinstance(value, str) and len(value) > LABELLED else f"{column}: {value}"


def _quoted(name: str) -> str:
    return '"' + name.replace('"', '""') + '"'
