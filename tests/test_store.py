"""What is kept of runs, how much of it, and what a data folder that is full, damaged or not ours costs."""

import asyncio
import multiprocessing
import os
import sqlite3
import stat
import typing
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
from langgraph.checkpoint.base import empty_checkpoint

from guards.serializable import survives
from interlock import store as stores
from interlock.claim import Taken, claimed, in_turn, is_claimed
from interlock.exits import BadUsage
from interlock.saver import records
from interlock.store import Store, open_store
from state.answer import Answer
from state.research import Research

FORKS = multiprocessing.get_context("forkserver")
SECRET = "what a source said about nobody else"
PEAK_BYTES = 20_000_000


@pytest.fixture
async def store(data_folder: Path) -> AsyncIterator[Store]:
    async with open_store(data_folder) as opened:
        yield opened


def answer(name: str = "", text: str = "A report.") -> Answer:
    return Answer(id=name, question="Why?", outcome="complete", mode="extractive", report=text)


async def checkpoint(store: Store, run: str, text: str) -> None:
    """One superstep, as LangGraph saves it."""
    config: Any = {"configurable": {"thread_id": run, "checkpoint_ns": ""}}
    saved = {**empty_checkpoint(), "channel_values": {"collected": text}}
    config = await store.saver.aput(config, typing.cast(Any, saved), {"source": "loop", "step": 1}, {})
    await store.saver.aput_writes(config, [("evidence", text)], "task")


async def whole_run(store: Store, run: str, report: str = "A report.", supersteps: int = 1) -> None:
    await store.begin(run, "", "Why?", "{}")
    for _ in range(supersteps):
        await checkpoint(store, run, SECRET * 200)
    await store.end(run, answer(run, report))


def files(folder: Path) -> int:
    """Bytes of the store's files."""
    return sum(path.stat().st_size for path in folder.iterdir() if path.is_file())


def content(folder: Path) -> bytes:
    return b"".join(path.read_bytes() for path in folder.iterdir() if path.is_file())


async def test_a_run_is_listed_while_it_runs_and_when_it_has_ended(store: Store) -> None:
    await store.begin("abc", "q1", "Why?", "{}")
    with store.claim("abc"):
        (run,) = await store.runs()
        assert (run.name, run.question, run.outcome, run.ended, run.alive) == ("q1", "Why?", None, None, True)
    assert not (await store.find("abc")).alive and await store.answer("abc") is None
    await store.end("abc", answer("q1"))
    run = await store.find("a")
    assert run.outcome == "complete" and run.ended is not None and run.ended >= run.began
    assert await store.answer("abc") == answer("q1")


async def test_a_run_is_found_by_the_beginning_of_its_id_or_by_the_name_of_its_answer(store: Store) -> None:
    for run, name in [("1a", "x"), ("2a", "1"), ("2b", "1"), ("2c", "")]:
        await store.begin(run, name, "Why?", "{}")
    assert [(await store.find(name)).id for name in ("1a", "2a", "x", "1")] == ["1a", "2a", "1a", "2b"]
    with pytest.raises(BadUsage, match="'2' is more than one run: use more of an id"):
        await store.find("2")


@pytest.mark.parametrize("name", ["", "zzz", "%", "_", "\udcff", "x" * 100_000, "'; DROP TABLE runs"])
async def test_a_run_that_is_not_there_is_said_with_the_place_where_it_is_not(store: Store, name: str) -> None:
    await store.begin("1a", "", "Why?", "{}")
    with pytest.raises(BadUsage, match=r"there is no run .* in .*runs.sqlite: `interlock runs` lists"):
        await store.find(name)
    assert len(await store.runs()) == 1


async def test_a_run_has_one_checkpoint_while_it_runs_and_none_when_it_has_ended(store: Store) -> None:
    await store.begin("run", "", "Why?", "{}")
    for _ in range(5):
        await checkpoint(store, "run", "x")
    kept = [found async for found in store.saver.alist(None)]
    assert len(kept) == 1 and len(kept[0].pending_writes or ()) == 1
    await store.end("run", answer())
    assert [found async for found in store.saver.alist(None)] == []
    assert await store.saver.conn.execute_fetchall("SELECT * FROM writes") == []


async def test_what_sources_said_and_what_was_asked_leaves_the_disk_with_the_run(data_folder: Path) -> None:
    async with open_store(data_folder) as store:
        await store.begin("run", "", "Why?", f'{{"question": "{SECRET}"}}')
        await checkpoint(store, "run", SECRET)
        assert SECRET.encode() in content(data_folder)
        await store.end("run", answer())
    assert SECRET.encode() not in content(data_folder)


async def test_the_files_are_their_owners_alone(data_folder: Path) -> None:
    async with open_store(data_folder) as store:
        await store.begin("run", "", "Why?", "{}")
        with store.claim("run"):
            modes = {stat.S_IMODE(path.stat().st_mode) for path in data_folder.iterdir()}
    assert modes == {0o600} and stat.S_IMODE(data_folder.stat().st_mode) == 0o700


async def test_500_runs_leave_little(data_folder: Path) -> None:
    """Of 1.5 MB of checkpoints each, and a report of 10 KB."""
    async with open_store(data_folder) as store:
        for number in range(500):
            await whole_run(store, f"run{number}", os.urandom(5_000).hex(), supersteps=1)
        assert len(await store.runs(1_000)) == 500
    assert files(data_folder) < 500 * 20_000


async def test_the_oldest_runs_go_and_the_file_shrinks(data_folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    async with open_store(data_folder) as store:
        for number in range(60):
            await whole_run(store, f"run{number:02}", "x" * 200_000)
        before = files(data_folder)
        monkeypatch.setattr(stores, "RUNS_KEPT", 5)
        await whole_run(store, "last")
        assert [run.id for run in await store.runs()] == ["last", "run59", "run58", "run57", "run56"]
    assert before > 12_000_000 and files(data_folder) < 6_000_000


async def test_answers_together_have_a_limit(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(stores, "BYTES_KEPT", 35_000)
    for number in range(6):
        await whole_run(store, f"run{number}", "x" * 10_000)
    assert [run.id for run in await store.runs()] == ["run5", "run4", "run3", "run2"]


async def test_runs_that_nobody_resumed_have_a_limit_but_one_that_runs_is_never_dropped(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(stores, "UNFINISHED_KEPT", 3)
    await store.begin("alive", "", "Why?", "{}")
    with store.claim("alive"):
        for number in range(6):
            await store.begin(f"dead{number}", "", "Why?", "{}")
            await checkpoint(store, f"dead{number}", "x")
    assert [run.id for run in await store.runs()] == ["dead5", "dead4", "dead3", "alive"]
    assert {found.config["configurable"]["thread_id"] async for found in store.saver.alist(None)} == {
        "dead3",
        "dead4",
        "dead5",
    }
    with pytest.raises(BadUsage, match="not kept any more: ask again"):
        await store.job("dead0")
