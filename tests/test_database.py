"""Databases: everybody's files are searched, none is changed, nothing is left beside them, and what fails is named."""

import hashlib
import os
import shutil
import sqlite3
import subprocess
import sys
from pathlib import Path

import pytest
from kit import LOOSE
from langgraph.graph import END, START, StateGraph
from source_kit import forbidden, ids, lost, search_database

from guards import guard
from nodes.sources import database as node
from nodes.sources import rows, sqlite_file
from nodes.sources.collecting import MARGIN_SECONDS
from state.research import Research


@pytest.fixture
def path(tmp_path: Path) -> Path:
    (tmp_path / "files").mkdir()
    return tmp_path / "files" / "facts.sqlite"


def make(path: Path, *statements: str) -> Path:
    database = sqlite3.connect(path)
    for statement in statements:
        database.execute(statement)
    database.commit()
    database.close()
    return path


NOTES = (
    "CREATE TABLE notes (title TEXT, body TEXT)",
    "INSERT INTO notes VALUES ('Clock', 'The tide clock hangs here.')",
)


def picture(path: Path) -> dict[str, str]:
    """What is in the folder, byte by byte; the shared memory of a database in use is its users' own."""
    files = sorted(file for file in path.parent.iterdir() if not file.name.endswith("-shm"))
    return {file.name: hashlib.sha256(file.read_bytes()).hexdigest() for file in files}


def names(path: Path) -> list[str]:
    return sorted(file.name for file in path.parent.iterdir())


async def test_a_database_is_searched_and_not_changed(path: Path) -> None:
    before = picture(make(path, *NOTES))
    found = await search_database("tide clock", path)
    assert ids(found) == ["facts.sqlite#notes/1"] and found.status == "ok"
    assert (found.findings[0].title, found.findings[0].location) == ("Clock", "row 1 of notes")
    assert found.findings[0].text == "body: The tide clock hangs here."
    assert picture(path) == before and names(path) == ["facts.sqlite"]


async def test_a_database_in_wal_mode_is_left_alone(path: Path) -> None:
    before = picture(make(path, "PRAGMA journal_mode = WAL", *NOTES))
    assert len(ids(await search_database("tide clock", path))) == 1
    assert picture(path) == before and names(path) == ["facts.sqlite"]


async def test_a_database_in_use_is_read_with_what_is_only_in_its_log(path: Path) -> None:
    writer = sqlite3.connect(make(path, "PRAGMA journal_mode = WAL", *NOTES))
    for number, text in enumerate(("A moon clock.", "A sun clock."), 2):
        writer.execute("INSERT INTO notes VALUES ('Clock', ?)", (text,))
        writer.commit()
        before = picture(path)
        assert len(ids(await search_database("clock", path))) == number
        assert picture(path) == before
    writer.close()


async def test_a_log_that_a_dead_writer_left_is_read_in_a_copy(path: Path, tmp_path: Path) -> None:
    writer = sqlite3.connect(make(tmp_path / "facts.sqlite", "PRAGMA journal_mode = WAL", NOTES[0]))
    writer.execute(NOTES[1])
    writer.commit()
    for name in ("facts.sqlite", "facts.sqlite-wal"):
        shutil.copy(tmp_path / name, path.parent)
    writer.close()
    before = picture(path)
    assert ids(await search_database("tide clock", path)) == ["facts.sqlite#notes/1"]
    assert picture(path) == before and names(path) == ["facts.sqlite", "facts.sqlite-wal"]


def leave_half_done(path: Path) -> None:
    subprocess.run([sys.executable, "-c", KILLED, make(path, *NOTES)], check=False)


KILLED = """
import os, sqlite3, sys
database = sqlite3.connect(sys.argv[1])
database.execute("PRAGMA cache_size = 1")
database.executemany("INSERT INTO notes VALUES (?, ?)", [("x" * 2000, "half a tide clock")] * 200)
os.kill(os.getpid(), 9)
"""


async def test_a_transaction_that_a_dead_writer_left_is_undone_in_a_copy(path: Path) -> None:
    leave_half_done(path)
    before = picture(path)
    assert list(before) == ["facts.sqlite", "facts.sqlite-journal"]
    assert ids(await search_database("tide clock", path)) == ["facts.sqlite#notes/1"]
    assert picture(path) == before


async def test_a_locked_database_is_told_with_the_cure(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sqlite_file, "WAIT_SECONDS", 0.01)
    other = sqlite3.connect(make(path, *NOTES))
    other.execute("BEGIN EXCLUSIVE")
    found = await search_database("tide clock", path)
    assert found.status == "timed out"
    assert found.reason == "it is locked by another program: close that one, or copy the file"
    other.rollback()
    assert len(ids(await search_database("tide clock", path))) == 1  # the failure was not remembered
    other.close()


def spoil(path: Path, data: bytes, at: int = 0) -> Path:
    """Write bytes into a file, at a place that is there or after its end."""
    with path.open("r+b" if path.exists() else "wb") as file:
        file.seek(at)
        file.write(data)
    return path


@pytest.mark.parametrize(
    ("data", "told"),
    [
        (os.urandom(4096), "it is no SQLite database, or an encrypted one: check the file"),
        (b"SQLite format 3\0" + os.urandom(4080), "it is"),
        (b"no database", "it is no SQLite database"),
    ],
    ids=["encrypted", "damaged head", "text"],
)
async def test_what_is_no_database_is_told(path: Path, data: bytes, told: str) -> None:
    spoil(path, data)
    found = await search_database("tide clock", path)
    assert found.status == "failed" and found.reason.startswith(told)


async def test_an_empty_file_and_an_empty_database_have_no_text(path: Path) -> None:
    assert (await search_database("clock", spoil(path, b""))).reason == "no table in it has text: name one that has"
    make(path, "CREATE TABLE numbers (a INTEGER, b REAL, c BLOB)", "INSERT INTO numbers VALUES (1, 2.5, x'00ff')")
    found = await search_database("clock", path)
    assert found.status == "skipped" and "no table in it has text" in found.reason


async def test_a_forbidden_file_is_told(path: Path) -> None:
    make(path, *NOTES)
    with forbidden(path):
        found = await search_database("tide clock", path)
    assert found.status == "failed" and "check its permissions" in found.reason


async def test_missing_files_and_folders_are_told(path: Path) -> None:
    assert (await search_database("clock", path)).reason == "there is no such database file: check the path"
    assert (await search_database("clock", "a\0b")).status == "failed"
    assert (await search_database("clock", path.parent)).status == "refused"


async def test_one_damaged_table_costs_only_itself(path: Path) -> None:
    fill = [f"INSERT INTO big VALUES ('{'x' * 1000}{number}')" for number in range(200)]
    make(path, *NOTES, "CREATE TABLE big (body TEXT)", *fill)
    spoil(path, b"\xff" * 20_000, at=100_000)
    found = await search_database("tide clock", path)
    assert found.status == "ok" and ids(found) == ["facts.sqlite#notes/1"]
    assert lost(found) == {"facts.sqlite#big": "it is damaged: run `sqlite3 FILE .recover` and use the result"}


async def test_one_bad_database_costs_only_itself(path: Path, tmp_path: Path) -> None:
    make(path, *NOTES)
    found = await search_database("tide clock", tmp_path / "nowhere.sqlite", path)
    assert found.status == "ok" and len(ids(found)) == 1 and len(lost(found)) == 1


# Tables of every make.


async def test_views_tables_without_rowid_and_odd_names_are_read(path: Path) -> None:
    make(
        path,
        "CREATE TABLE pairs (k TEXT PRIMARY KEY, v TEXT) WITHOUT ROWID",
        "INSERT INTO pairs VALUES ('lighthouse', 'stands on Skell Rock')",
        "CREATE VIEW seen AS SELECT v || ', in a view' AS v FROM pairs",
        'CREATE TABLE "odd "" [name]; --" ("select" TEXT, "a ""b"" c" TEXT, "größe" TEXT, "" TEXT)',
        "INSERT INTO \"odd \"\" [name]; --\" VALUES ('one quay', 'two piers', '3 m', 'nameless')",
        "CREATE TABLE mine (rowid TEXT, oid TEXT, body TEXT)",
        "INSERT INTO mine VALUES ('same', 'same', 'a crane'), ('same', 'same', 'a second crane')",
        "CREATE TABLE empty (a TEXT)",
    )
    assert set(ids(await search_database("Skell Rock", path))) == {"facts.sqlite#pairs/1", "facts.sqlite#seen/1"}
    odd = (await search_database("quay", path)).findings[0]
    assert odd.text == 'select: one quay\n\na "b" c: two piers\n\ngröße: 3 m\n\n: nameless'
    assert set(ids(await search_database("crane", path))) == {"facts.sqlite#mine/1", "facts.sqlite#mine/2"}


async def test_a_broken_view_costs_only_itself(path: Path) -> None:
    make(path, *NOTES, "CREATE TABLE old (a TEXT)", "CREATE VIEW broken AS SELECT a FROM old", "DROP TABLE old")
    found = await search_database("tide clock", path)
    assert len(ids(found)) == 1 and "SQLite cannot read it (no such table" in lost(found)["facts.sqlite#broken"]


async def test_virtual_tables_are_left_out_and_cost_nothing(path: Path) -> None:
    make(path, *NOTES, "CREATE VIRTUAL TABLE words USING fts5(a)", "INSERT INTO words VALUES ('a moon clock')")
    found = await search_database("tide clock", path)
    assert "facts.sqlite#notes/1" in ids(found) and not lost(found)


async def test_values_that_are_no_text_stand_beside_it_and_blobs_are_left_out(path: Path) -> None:
    make(
        path,
        "CREATE TABLE t (name TEXT, published TEXT, metres REAL, trams INTEGER, note TEXT, photo BLOB, body TEXT)",
        f"INSERT INTO t VALUES ('Pier', '2024-05-01 10:00', 2.5, 14, NULL, x'00ff', '{'A long word on it. ' * 8}')",
    )
    (found,) = (await search_database("pier", path)).findings
    assert found.text.startswith(
        "Pier\n\npublished: 2024-05-01 10:00\n\nmetres: 2.5\n\ntrams: 14\n\nA long word on it."
    )
    assert (found.title, found.date) == ("Pier", "2024-05-01")


async def test_text_that_is_no_valid_text_costs_characters_only(path: Path) -> None:
    make(path, NOTES[0], "INSERT INTO notes VALUES ('x', CAST(x'74696465ff00' AS TEXT))")
    (found,) = (await search_database("tide", path)).findings
    assert found.text.startswith("body: tide\ufffd")


async def test_huge_rows_are_cut_and_say_so(path: Path) -> None:
    make(path, NOTES[0], "INSERT INTO notes VALUES ('long', 'tide ' || hex(zeroblob(200000)))")
    found = await search_database("tide", path)
    assert len(ids(found)) == 1 and "only its first 100000 characters" in lost(found)["facts.sqlite#notes/1"]


async def test_a_value_over_the_limit_costs_only_its_table(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sqlite_file, "VALUE_BYTES", 10_000)
    make(path, *NOTES, "CREATE TABLE big (a TEXT)", "INSERT INTO big VALUES (hex(zeroblob(10000)))")
    found = await search_database("tide clock", path)
    assert len(ids(found)) == 1 and "a value in it is over the limit" in lost(found)["facts.sqlite#big"]


async def test_of_too_many_rows_and_tables_the_first_are_read(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(rows, "ROWS", 2)
    fill = [f"INSERT INTO a VALUES ('clock {number}')" for number in range(3)]
    make(path, "CREATE TABLE a (v TEXT)", *fill, "CREATE TABLE b AS SELECT * FROM a")
    found = await search_database("clock", path)
    assert sorted(ids(found)) == ["facts.sqlite#a/1", "facts.sqlite#a/2"]
    assert "only its first 2 rows were read" in lost(found)["facts.sqlite#a"]
    assert "over the limit of 2 rows" in lost(found)["facts.sqlite#b"]


# Once, and again when it changed; and not for ever.


async def test_a_database_is_read_once_and_again_when_it_changed(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    read: list[Path] = []

    def counting(file: Path) -> object:
        read.append(file)
        return rows.documents(file)

    monkeypatch.setattr(node, "documents", counting)
    make(path, *NOTES)
    for _ in range(2):
        assert len(ids(await search_database("clock", path))) == 1
    assert len(read) == 1
    make(path, "UPDATE notes SET body = 'The moon clock.'", "INSERT INTO notes VALUES ('new', 'a clock')")
    assert len(ids(await search_database("clock", path))) == 2 and len(read) == 2
    assert ids(await search_database("tide", path)) == []


async def test_a_view_that_never_ends_is_interrupted_and_what_was_read_is_kept(path: Path) -> None:
    endless = (
        "WITH RECURSIVE n(v) AS (SELECT 'x' UNION ALL SELECT v || 'x' FROM n WHERE v > '') SELECT max(v) AS v FROM n"
    )
    make(path, *NOTES, f"CREATE VIEW zz AS {endless}")
    graph = StateGraph(Research)
    graph.add_node("database", node.database)
    graph.add_edge(START, "database")
    graph.add_edge("database", END)
    asked = {"question": "tide clock", "databases": [str(path)]}
    result = await guard(graph, LOOSE.but(timeout=MARGIN_SECONDS + 0.3)).ainvoke(asked)
    (found,) = result["collected"]
    assert ids(found) == ["facts.sqlite#notes/1"] and result["run"].outcome == "complete"
    assert found.status == "timed out" and "the time was over" in found.reason
