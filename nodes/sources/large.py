"""Large: the words of an index in tantivy, for folders of many thousand files (`pip install 'interlock[large]'`).

Its folder lies beside the index's file. It commits first: when the process dies before SQLite does, passages are left
there that nothing points to; they are passed over, and replaced when their ids are given out again.
"""

import shutil
import sqlite3
from collections.abc import Callable
from functools import cached_property
from pathlib import Path
from typing import Any, TypeVar

import tantivy
from typing_extensions import override

from nodes.sources.words import Damaged, Words, telling

HEAP_BYTES = 50_000_000
BOOSTS = {"title": 3.0, "path": 2.0, "text": 1.0}

T = TypeVar("T")


class Tantivy(Words):
    """The words in a folder.

    Args:
        folder: Where they are kept.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._open_writer: Any = None

    @override
    def make(self, database: sqlite3.Connection) -> None:
        shutil.rmtree(self.folder, ignore_errors=True)
        self.folder.mkdir()
        tantivy.Index(_schema(), path=str(self.folder))

    @override
    def add(self, database: sqlite3.Connection, first: int) -> None:
        schema = _schema()
        for row in database.execute("SELECT id, title, path, text FROM spans WHERE id >= ?", (first,)):
            values = dict(zip(("id", *BOOSTS), row, strict=True))
            self._writer.delete_documents_by_term("id", row[0])
            self._writer.add_document(tantivy.Document.from_dict(values, schema))

    @override
    def remove(self, database: sqlite3.Connection, source: int) -> None:
        for (number,) in database.execute("SELECT id FROM spans WHERE source = ?", (source,)):
            self._writer.delete_documents_by_term("id", number)

    @override
    def tidy(self, database: sqlite3.Connection) -> None:
        pass  # it merges what it wrote by itself

    @override
    def commit(self) -> None:
        if self._open_writer is not None:
            writer, self._open_writer = self._open_writer, None
            writer.commit()
            writer.wait_merging_threads()
            self._index.reload()

    @override
    def find(self, database: sqlite3.Connection, query: str, limit: int) -> list[tuple[int, float]]:
        words = " ".join(telling(query))
        if not words:
            return []
        parsed, _ = self._index.parse_query_lenient(words, list(BOOSTS), field_boosts=BOOSTS)
        searcher = self._index.searcher()
        found = _sound(lambda: searcher.search(parsed, limit).hits)
        return [(searcher.doc(address)["id"][0], score) for score, address in found]

    @cached_property
    def _index(self) -> Any:
        return _sound(lambda: tantivy.Index.open(str(self.folder)))

    @property
    def _writer(self) -> Any:
        if self._open_writer is None:
            self._open_writer = _sound(lambda: self._index.writer(HEAP_BYTES, 1))
        return self._open_writer


def _schema() -> Any:
    schema = tantivy.SchemaBuilder().add_integer_field("id", stored=True, indexed=True)
    for name in BOOSTS:
        schema = schema.add_text_field(name, tokenizer_name="en_stem")
    return schema.build()


def _sound(work: Callable[[], T]) -> T:
    """What tantivy raises, ValueError or OSError, when files are missing or damaged."""
    try:
        return work()
    except (ValueError, OSError) as error:
        raise Damaged from error
