"""The index, with each kind of words: damage is mended, locks are told, and nothing in a query is syntax."""

import os
import shutil
import sqlite3
from collections.abc import Iterator
from pathlib import Path

import pytest
from source_kit import forbidden, ids, search_documents, write

from guards.folder import data_folder
from nodes.sources import index as indexes
from nodes.sources.collecting import Lost
from nodes.sources.index import Index, with_index
from nodes.sources.text import Document

KINDS = ("fts5", "tantivy")


@pytest.fixture(params=KINDS, autouse=True)
def kind(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> str:
    if request.param == "tantivy":
        pytest.importorskip("tantivy")
    monkeypatch.setenv("INTERLOCK_INDEX", request.param)
    return str(request.param)


@pytest.fixture
def docs(tmp_path: Path) -> Path:
    return write(tmp_path / "docs", clock="The tide clock hangs at Market Square.", bridge="Anchor Bridge is of steel.")


def index_file() -> Path:
    (path,) = (data_folder() / "index").glob("*.sqlite")
    return path


def fill(root: str, **texts: str) -> str:
    """Index these texts under their names."""
    stamps = {name: hash(text) for name, text in texts.items()}
    return with_index(root, lambda index: index.refresh(stamps, lambda name: Document(name, name, texts[name])))


def search(root: str, query: str, limit: int = 20) -> list[str]:
    return with_index(root, lambda index: [hit.name for hit in index.search(query, limit)])


@pytest.mark.parametrize(
    "query",
    [
        "what's the clock's \"tide",
        "clock AND NOT (tide",
        "title:clock^2 NEAR/3 *",
        "clock -tide +'bridge",
        "a{b}[c]~clock\\",
        "clock; DROP TABLE words",
        "\0clock",
        "clock " * 20_000,
    ],
)
def test_nothing_in_a_query_is_syntax(query: str) -> None:
    fill("root", note="the tide clock", other="something else")
    assert search("root", query) == ["note"]


@pytest.mark.parametrize("query", ["", "?!", '"', "\0", "quetzalcoatl"])
def test_a_query_that_fits_nothing_finds_nothing(query: str) -> None:
    fill("root", note="the tide clock")
    assert search("root", query) == []


def test_common_words_are_not_searched_unless_there_is_nothing_else() -> None:
    fill("root", hamlet="to be or not to be", other="a tide clock")
    assert search("root", "what is the clock") == ["other"]
    assert search("root", "to be or not to be") == ["hamlet"]


def test_words_are_found_by_their_stems_and_in_names() -> None:
    fill("root", annual_report="the trams were running", other="nothing here")
    assert search("root", "a running tram") == ["annual_report"]
    assert search("root", "annual report") == ["annual_report"]


def test_one_long_source_does_not_push_out_the_others() -> None:
    fill("root", long="clock clock. " * 2_000, **{f"short{n}": f"the clock number {n}" for n in range(3)})
    found = search("root", "clock", 5)
    assert len(found) == 5 and set(found) == {"long", "short0", "short1", "short2"}


def test_what_changed_is_replaced_and_what_is_gone_is_forgotten() -> None:
    fill("root", a="the old lighthouse", b="a pier")
    fill("root", a="the new harbour", c="a quay")
    assert [search("root", word) for word in ("lighthouse", "pier", "harbour", "quay")] == [[], [], ["a"], ["c"]]


def test_roots_do_not_see_each_other() -> None:
    fill("one", note="the tide clock")
    assert search("two", "clock") == []


# Damage.


def garbage(path: Path) -> None:
    path.write_bytes(b"this is no index" * 500)


def cut(path: Path) -> None:
    os.truncate(path, path.stat().st_size // 2)


def scratched(path: Path) -> None:
    with path.open("r+b") as file:
        for page in range(1, path.stat().st_size // 4096):
            file.seek(page * 4096)
            file.write(b"\xff" * 64)


def older(path: Path) -> None:
    database = sqlite3.connect(path)
    database.execute("PRAGMA user_version = 1")
    database.close()


@pytest.mark.parametrize("damage", [garbage, cut, scratched, older])
async def test_a_damaged_index_is_made_again(docs: Path, damage: object) -> None:
    await search_documents("tide clock", docs)
    damage(index_file())  # type: ignore[operator]
    for _ in range(2):
        found = await search_documents("tide clock", docs)
        assert found.status == "ok" and ids(found) == ["clock.txt"] and len(found.sources) == 1


@pytest.mark.parametrize("kind", ["tantivy"], indirect=True)
async def test_words_that_lost_their_folder_are_made_again(docs: Path, kind: str) -> None:
    await search_documents("tide clock", docs)
    shutil.rmtree(index_file().with_suffix(""))
    assert ids(await search_documents("tide clock", docs)) == ["clock.txt"]


# Locks.


@pytest.fixture
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(indexes, "BUSY_SECONDS", 0.01)
    monkeypatch.setattr(indexes, "BUSY_TRIES", 3)


@pytest.fixture
def locked(docs: Path, impatient: None) -> Iterator[sqlite3.Connection]:
    """A connection, as of another process, that holds the index while the test runs."""
    fill(str(docs), **{"clock.txt": "The tide clock."})
    database = sqlite3.connect(index_file(), isolation_level=None)
    yield database
    database.close()


async def test_while_another_process_writes_what_is_there_is_searched_and_the_place_says_so(
    docs: Path, locked: sqlite3.Connection
) -> None:
    locked.execute("BEGIN IMMEDIATE")
    found = await search_documents("tide clock, steel bridge", docs)
    assert ids(found) == ["clock.txt"]
    assert found.status == "timed out" and "another process is writing to its index" in found.reason
    locked.execute("ROLLBACK")
    assert len(ids(await search_documents("tide clock, steel bridge", docs))) == 2


async def test_an_index_that_is_locked_whole_is_told(docs: Path, locked: sqlite3.Connection) -> None:
    locked.execute("PRAGMA locking_mode = EXCLUSIVE")
    locked.execute("PRAGMA journal_mode = DELETE")
    locked.execute("BEGIN EXCLUSIVE")
    found = await search_documents("tide clock", docs)
    assert found.status == "timed out" and "in use by another process: ask again" in found.reason


# The data folder.


async def test_a_data_folder_that_cannot_be_made_is_told_with_the_cure(
    docs: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "file").touch()
    monkeypatch.setenv("INTERLOCK_DATA", str(tmp_path / "file" / "data"))
    found = await search_documents("tide clock", docs)
    assert found.reason == "the data folder cannot be made (Not a directory): set INTERLOCK_DATA to a folder that can"


async def test_a_data_folder_that_may_not_be_written_is_told_with_the_cure(docs: Path) -> None:
    with forbidden(data_folder()):
        found = await search_documents("tide clock", docs)
    assert found.status == "failed" and "set INTERLOCK_DATA to" in found.reason


async def test_an_unknown_kind_of_index_is_told(docs: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("INTERLOCK_INDEX", "lucene")
    assert "must be fts5 or tantivy" in (await search_documents("tide clock", docs)).reason


def test_of_a_small_root_all_passages_are_handed_over_when_one_matches() -> None:
    fill("root", note="the tide clock", other="something else")

    def both(query: str) -> list[str]:
        return with_index("root", lambda index: [hit.name for hit in index.others(index.search(query, 20))])

    assert both("clock") == ["other"]
    assert both("nowhere") == []


def test_of_a_larger_root_only_what_matches_is_found() -> None:
    fill("root", note="the tide clock", **{f"other{number}": "something else" for number in range(indexes.FEW)})
    assert with_index("root", lambda index: index.others(index.search("clock", 20))) == []


def test_only_the_indexes_used_last_are_kept(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(indexes, "INDEXES_KEPT", 3)
    for number in range(4):
        fill(f"root{number}", note="the tide clock")
        os.utime(indexes._path_of(f"root{number}"), (number, number))
    fill("root1", note="the tide clock")  # used again
    fill("root4", note="the tide clock")
    left = {path.name for path in (data_folder() / "index").iterdir() if path.suffix == ".sqlite"}
    assert left == {indexes._path_of(f"root{number}").name for number in (1, 3, 4)}
    assert {path.stem for path in (data_folder() / "index").glob("*.tantivy")} <= {name.split(".")[0] for name in left}


def test_a_reason_to_try_again_is_not_remembered() -> None:
    def busy(name: str) -> Document:
        raise Lost("busy", "timed out")

    def refresh(read: object) -> str:
        return with_index("root", lambda index: Index.refresh(index, {"note": 1}, read))  # type: ignore[arg-type]

    assert "ask again" in refresh(busy)
    assert refresh(lambda name: Document(name, name, "the tide clock")) == ""
    assert search("root", "clock") == ["note"]
