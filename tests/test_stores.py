"""Every store changes rows together, alone and in order; one that is gone refuses and says so."""

import asyncio
import logging
import os
import sqlite3
import threading
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
from forks import Fork
from kit import LOOSE, chain, keep_books_in, named
from postgres_kit import emptied

from guards import guard
from guards.stores import CannotOpen, Row, Rows, Store, StoreDown, queued
from guards.stores.chosen import close_stores, store
from guards.stores.memory import MemoryStore
from guards.stores.postgres import postgres_store
from guards.stores.sqlite import sqlite_store

MANY = 40


@pytest.fixture(params=["memory", "sqlite", "postgres"])
def books(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Store]:
    if request.param == "postgres":
        made: Store = postgres_store(emptied(request.getfixturevalue("postgres_url")))
    else:
        made = MemoryStore() if request.param == "memory" else sqlite_store(tmp_path / "books.sqlite")
    yield made
    made.close()


def one_more(rows: Rows) -> Rows:
    return {key: {"count": (row or {"count": 0})["count"] + 1} for key, row in rows.items()}


def nothing(rows: Rows) -> Rows:
    return {}


async def read(books: Store, *keys: str) -> dict[str, Row | None]:
    seen: dict[str, Row | None] = {}

    def look(rows: Rows) -> Rows:
        seen.update(rows)
        return {}

    await books.change(keys, look)
    return seen


async def test_rows_are_read_written_and_removed_together(books: Store) -> None:
    row: Row = {"spent": [1, 2], "of": {"ä": 10**15}, "until": 5.5}
    assert await books.change(["a", "b"], lambda rows: {"a": row, "b": row}) == {"a": row, "b": row}
    assert await read(books, "a", "c") == {"a": row, "c": None}
    await books.change(["a", "b"], lambda rows: {"a": None} if rows["b"] == row else {})
    assert await read(books, "a", "b") == {"a": None, "b": row}


async def test_a_change_that_is_refused_writes_nothing_and_stops_nobody_else(books: Store) -> None:
    def refuse(rows: Rows) -> Rows:
        raise ValueError("no")

    await books.change(["a"], one_more)
    asked = (books.change(["a"], decide) for decide in (one_more, refuse, one_more))
    results = await asyncio.gather(*asked, return_exceptions=True)
    assert [type(result) for result in results] == [dict, ValueError, dict]
    assert await read(books, "a") == {"a": {"count": 3}}


async def test_what_is_not_waited_for_comes_before_what_is_asked_later(books: Store) -> None:
    books.change_soon(["a"], one_more)
    books.change_soon(["a"], one_more)
    assert await read(books, "a") == {"a": {"count": 2}}


class Counting:
    """A database in memory that tells how many keys each transaction had."""

    def __init__(self) -> None:
        self.sizes: list[int] = []
        self.rows: dict[str, Row | None] = {}

    def transact(self, keys: Any, work: Any) -> None:
        self.sizes.append(len(keys))
        self.rows.update(work({key: self.rows.get(key) for key in keys}))

    def close(self) -> None:
        """There is nothing to let go of."""


async def test_what_may_wait_for_the_next_change_is_made_in_its_transaction(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(queued, "LINGER_SECONDS", 60.0)
    database = Counting()
    books: Any = queued.QueuedStore(lambda: database)  # type: ignore[arg-type, return-value]
    await books.change(["a"], one_more)
    books.change_soon(["a"], one_more, with_next=True)
    books.change_soon(["b"], one_more, with_next=True)
    assert await books.change(["a", "c"], one_more) == {"a": {"count": 3}, "c": {"count": 1}}
    assert database.sizes == [1, 3]
    books.change_soon(["b"], one_more, with_next=True)
    await books.settled()
    assert database.sizes == [1, 3, 1] and database.rows["b"] == {"count": 2}
    books.change_soon(["b"], one_more, with_next=True)
    books.close()
    assert database.rows["b"] == {"count": 3}


async def test_a_loop_is_woken_once_for_all_that_one_transaction_did(monkeypatch: pytest.MonkeyPatch) -> None:
    woken, loop = list[Any](), asyncio.get_running_loop()
    wake = loop.call_soon_threadsafe
    monkeypatch.setattr(loop, "call_soon_threadsafe", lambda *call: (woken.append(call), wake(*call))[1])
    database, held = Counting(), threading.Event()
    books: Any = queued.QueuedStore(lambda: database)  # type: ignore[arg-type, return-value]

    def hold(rows: Rows) -> Rows:
        assert held.wait(60)
        return rows

    books.change_soon(["z"], hold)
    asked = [asyncio.create_task(books.change([str(number)], one_more)) for number in range(50)]
    asked[7].cancel()
    await asyncio.sleep(0)  # all of them have asked
    held.set()
    ends = await asyncio.gather(*asked, return_exceptions=True)
    assert len(woken) == 1 and [type(end) for end in ends].count(dict) == 49
    books.close()


def test_what_may_wait_is_made_soon_when_nobody_comes() -> None:
    database = Counting()
    books: Any = queued.QueuedStore(lambda: database)  # type: ignore[arg-type, return-value]
    asyncio.run(books.change(["a"], one_more))
    made = threading.Event()

    def tell(rows: Rows) -> Rows:
        made.set()
        return one_more(rows)

    books.change_soon(["a"], tell, with_next=True)
    assert made.wait(60)
    books.close()


def test_threads_and_loops_lose_no_change(books: Store) -> None:
    async def work() -> None:
        await asyncio.gather(*(books.change(["a", f"b{number}"], one_more) for number in range(MANY)))

    threads = [threading.Thread(target=asyncio.run, args=(work(),)) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert asyncio.run(read(books, "a", "b0")) == {"a": {"count": 4 * MANY}, "b0": {"count": 4}}


async def test_due_rows_come_oldest_first_under_their_prefix(books: Store) -> None:
    until = {"hold:a": 3.0, "hold:b": 1.0, "hold:c": 9.0, "hold:d": 0.0, "holding": 2.0, "run:a": 1.0, "hold:é": 2.0}
    await books.change(list(until), lambda rows: {key: {"until": until[key]} for key in rows})
    assert list(await books.due("hold:", 5.0, 10)) == ["hold:b", "hold:é", "hold:a"]
    assert list(await books.due("hold:", 5.0, 1)) == ["hold:b"]
    assert len(await books.due("", 5.0, 10)) == 5


async def test_a_caller_that_is_cancelled_stops_nobody_else(books: Store) -> None:
    tasks = [asyncio.create_task(books.change(["a"], one_more)) for _ in range(3)]
    await asyncio.sleep(0)
    tasks[1].cancel()
    await asyncio.wait(tasks)
    (row,) = (await read(books, "a")).values()
    assert row is not None and row["count"] in (2, 3)


def count_up(name: str, times: int, told: Any) -> None:
    os.environ["INTERLOCK_STORE"] = name

    async def work() -> None:
        for _ in range(times):
            await store().change(["a", "b"], one_more)

    asyncio.run(work())
    close_stores()
    told.send("done")


async def test_processes_lose_no_change(shared: str, monkeypatch: pytest.MonkeyPatch) -> None:
    for fork in [Fork(count_up, shared, MANY) for _ in range(3)]:
        fork.hear(1)
    monkeypatch.setenv("INTERLOCK_STORE", shared)
    assert await read(store(), "a", "b") == {key: {"count": 3 * MANY} for key in "ab"}
    close_stores()


async def test_memory_keeps_what_was_written_last_and_every_hold(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("guards.stores.memory.ROWS_KEPT", 10)
    books = MemoryStore()
    await books.change(["hold:a"], one_more)
    for number in range(100):
        await books.change([f"run:{number}", "hour:1"], one_more)
    assert len(books._rows) <= 11
    assert await read(books, "hold:a", "hour:1", "run:99", "run:1") == {
        "hold:a": {"count": 1},
        "hour:1": {"count": 100},
        "run:99": {"count": 1},
        "run:1": None,
    }


async def test_the_thread_of_a_store_ends_when_nobody_needs_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(queued, "IDLE_SECONDS", 0.01)
    books = sqlite_store(tmp_path / "books.sqlite")
    await books.change(["a"], one_more)
    thread = books._thread
    if thread is not None:
        await asyncio.to_thread(thread.join, 10)
    assert books._thread is None
    assert await books.change(["a"], one_more) == {"a": {"count": 2}}
    books.close()


async def test_a_locked_file_blocks_no_event_loop_and_refuses_in_the_end(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("guards.stores.sqlite.BUSY_SECONDS", 0.2)
    path = tmp_path / "books.sqlite"
    books, ticks = sqlite_store(path), 0
    await books.change(["a"], one_more)
    with closing(sqlite3.connect(path, isolation_level=None)) as other:
        other.execute("BEGIN IMMEDIATE")
        asked = asyncio.create_task(books.change(["a"], one_more))
        while not asked.done():
            await asyncio.sleep(0.001)
            ticks += 1
        with pytest.raises(StoreDown, match="busy"):
            await asked
    assert ticks > 5
    assert await books.change(["a"], one_more) == {"a": {"count": 2}}
    books.close()


async def test_the_file_is_its_owners_alone(tmp_path: Path) -> None:
    books = sqlite_store(tmp_path / "new" / "books.sqlite")
    await books.change(["a"], one_more)
    assert {path.stat().st_mode & 0o777 for path in (tmp_path / "new").iterdir()} == {0o600}
    assert (tmp_path / "new").stat().st_mode & 0o777 == 0o700
    books.close()


@pytest.mark.parametrize("content", [b"no database at all, but text" * 100, None])
async def test_a_file_that_is_damaged_or_not_ours_is_left_alone(tmp_path: Path, content: bytes | None) -> None:
    path = tmp_path / "books.sqlite"
    if content is None:
        with closing(sqlite3.connect(path)) as other:
            other.execute("CREATE TABLE theirs (a)")
    else:
        path.write_bytes(content)
    before, books = path.read_bytes(), sqlite_store(path)
    with pytest.raises(CannotOpen, match="INTERLOCK_STORE"):
        await books.change(["a"], one_more)
    assert path.read_bytes() == before


async def test_a_connection_that_was_lost_is_made_again(postgres_url: str) -> None:
    import psycopg

    books = postgres_store(emptied(postgres_url))
    await books.change(["a"], one_more)
    with psycopg.connect(postgres_url, autocommit=True) as other:
        other.execute("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE pid <> pg_backend_pid()")
    assert await books.change(["a"], one_more) == {"a": {"count": 2}}
    books.close()


@pytest.mark.parametrize("name", ["postgresql://nobody:secret-word@127.0.0.1:1/x", "/proc/nowhere/books.sqlite"])
async def test_a_store_that_was_chosen_and_cannot_be_opened_refuses_and_tells_no_secret(
    name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("INTERLOCK_STORE", name)
    with pytest.raises(CannotOpen, match="INTERLOCK_STORE") as caught:
        await store().change(["a"], one_more)
    assert "secret-word" not in str(caught.value)


async def test_sqlite_in_the_data_folder_is_the_default(data_folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("INTERLOCK_STORE")
    await store().change(["a"], one_more)
    assert (data_folder / "ledger.sqlite").exists()
    close_stores()
    assert await read(store(), "a") == {"a": {"count": 1}}
    close_stores()


async def test_memory_takes_the_place_of_a_default_that_cannot_be_opened(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.delenv("INTERLOCK_STORE")
    monkeypatch.setenv("INTERLOCK_DATA", "/proc/nowhere")
    with caplog.at_level(logging.WARNING, "interlock"):
        await store().change(["a"], one_more)
        store().change_soon(["a"], one_more)
        assert await read(store(), "a") == {"a": {"count": 2}}
    assert [record.message for record in caplog.records] == ["the ledger is kept in memory only"]


async def test_a_store_that_hangs_holds_up_no_run(server: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    from langchain_openai import ChatOpenAI

    class Hangs(MemoryStore):
        async def change(self, keys: Any, decide: Any) -> Rows:
            await asyncio.Event().wait()
            raise AssertionError

    async def node(state: Any) -> Any:
        await ChatOpenAI(model="gpt-4o-mini").ainvoke("hello")

    books = Hangs()
    keep_books_in(books, monkeypatch)
    graph = guard(chain(named("node", node)), LOOSE.but(seconds=1.0))
    result = await asyncio.wait_for(graph.ainvoke({"log": []}), 60)
    assert not server.calls and result["run"].outcome == "stopped"


async def test_a_call_is_refused_while_the_store_is_down(server: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    from langchain_openai import ChatOpenAI

    async def node(state: Any) -> Any:
        await ChatOpenAI(model="gpt-4o-mini").ainvoke("hello")

    monkeypatch.setenv("INTERLOCK_STORE", "/proc/nowhere/books.sqlite")
    result = await guard(chain(named("node", node)), LOOSE).ainvoke({"log": []})
    assert not server.calls and "INTERLOCK_STORE" in result["run"].stop_reason
