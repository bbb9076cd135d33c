"""Words: which passages hold the words of a query, by SQLite FTS5; `large` does the same with tantivy."""

import re
import sqlite3
from typing import Protocol

from typing_extensions import override

from nodes.text.common import COMMON

QUERY_CHARACTERS = 4_000
QUERY_WORDS = 64

_WORD = re.compile(r"\w+")
_TABLE = """
CREATE VIRTUAL TABLE words USING fts5(
    title, path, text, content = 'spans', content_rowid = 'id', tokenize = 'porter unicode61 remove_diacritics 2')
"""
_WEIGHTS = "INSERT INTO words (words, rank) VALUES ('rank', 'bm25(3.0, 2.0, 1.0)')"
"""Title, path, text."""


class Damaged(Exception):
    """What was kept cannot be used any more: the index is made again."""


class Words(Protocol):
    """Finds passages, the rows of the table `spans`. All but `find` is called inside a transaction."""

    def make(self, database: sqlite3.Connection) -> None:
        """Begin empty."""

    def add(self, database: sqlite3.Connection, first: int) -> None:
        """Take in the passages from this id on."""

    def remove(self, database: sqlite3.Connection, source: int) -> None:
        """Forget the passages of one source, which are still in `spans`."""

    def tidy(self, database: sqlite3.Connection) -> None:
        """Much was taken in: make searching it as cheap as it can be."""

    def commit(self) -> None:
        """Make it last; the transaction is committed right after."""

    def find(self, database: sqlite3.Connection, query: str, limit: int) -> list[tuple[int, float]]:
        """(id, score) of the best passages that hold any of the query's words, best first."""


class Fts5(Words):
    """The words in the index's own file."""

    @override
    def make(self, database: sqlite3.Connection) -> None:
        database.execute(_TABLE)
        database.execute(_WEIGHTS)

    @override
    def add(self, database: sqlite3.Connection, first: int) -> None:
        database.execute(
            "INSERT INTO words (rowid, title, path, text) SELECT id, title, path, text FROM spans WHERE id >= ?",
            (first,),
        )

    @override
    def remove(self, database: sqlite3.Connection, source: int) -> None:
        database.execute(
            "INSERT INTO words (words, rowid, title, path, text) "
            "SELECT 'delete', id, title, path, text FROM spans WHERE source = ?",
            (source,),
        )

    @override
    def tidy(self, database: sqlite3.Connection) -> None:
        database.execute("INSERT INTO words (words) VALUES ('optimize')")

    @override
    def commit(self) -> None:
        pass  # the transaction commits the words too

    @override
    def find(self, database: sqlite3.Connection, query: str, limit: int) -> list[tuple[int, float]]:
        sql = "SELECT rowid, -rank FROM words WHERE words MATCH ? ORDER BY rank LIMIT ?"
        match = " OR ".join(f'"{word}"' for word in telling(query))
        return database.execute(sql, (match, limit)).fetchall() if match else []


def telling(query: str) -> list[str]:
    """The words of a query that tell something, each once; nothing that is left is syntax to anybody."""
    found = list(dict.fromkeys(_WORD.findall(query[:QUERY_CHARACTERS].lower())))
    return ([word for word in found if word not in COMMON] or found)[:QUERY_WORDS]


def spoken(name: str) -> str:
    """The words of a path or an id."""
    return " ".join(_WORD.findall(name.replace("_", " ")))
