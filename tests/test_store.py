"""What is kept of runs, how much of it, and what a data folder that is full, damaged or not ours costs."""

import asyncio
import os
import sqlite3
import stat
import typing
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
from forks import FORKS, PATIENCE, Fork
from langgraph._internal._serde import build_serde_allowlist
from langgraph.checkpoint.base import empty_checkpoint
from pydantic import BaseModel

from interlock import store as stores
from interlock.claim import Taken, claimed, in_turn, is_claimed
from interlock.exits import BadUsage
from interlock.saver import records
from interlock.store import Store, open_store
from state.answer import Answer
from state.research import Research

SECRET = "what a source said about nobody else"


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


async def whole_run(store: Store, run: str, report: str = "A report.") -> None:
    with store.claim(run):
        await store.begin(run, "", "Why?", "{}")
        await checkpoint(store, run, SECRET * 200)
        await store.end(run, answer(run, report))


def paths(folder: Path) -> list[Path]:
    return list(folder.iterdir())


def mode(path: Path) -> int:
    return stat.S_IMODE(path.stat().st_mode)


def files(folder: Path) -> int:
    """Bytes of the store's files."""
    return sum(path.stat().st_size for path in folder.iterdir())


def content(folder: Path) -> bytes:
    return b"".join(path.read_bytes() for path in folder.iterdir())


def put(folder: Path, content: bytes = b"") -> Path:
    """A file where the store's would be."""
    folder.mkdir()
    (folder / "runs.sqlite").write_bytes(content)
    return folder / "runs.sqlite"


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
            assert {mode(path) for path in paths(data_folder)} == {0o600} and mode(data_folder) == 0o700


async def test_500_runs_leave_little(data_folder: Path) -> None:
    """Each with a report of 10 KB, and with a checkpoint until it has ended."""
    async with open_store(data_folder) as store:
        for number in range(500):
            await whole_run(store, f"run{number}", os.urandom(5_000).hex())
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


DAMAGES = {
    "text": b"this is no database\n" * 500,
    "cut off": b"SQLite format 3\x00" + b"\x10\x00\x01\x01\x00\x40\x20\x20" + b"\x00" * 100,
}


@pytest.mark.parametrize("damage", DAMAGES.values(), ids=DAMAGES)
async def test_a_damaged_file_is_said_in_one_line_with_the_cure(data_folder: Path, damage: bytes) -> None:
    path = put(data_folder, damage)
    with pytest.raises(BadUsage, match=r"runs.sqlite cannot be read \(.*\): move it away") as error:
        async with open_store(data_folder):
            pass
    assert "\n" not in str(error.value)
    assert path.read_bytes() == damage


async def test_damage_behind_the_beginning_is_said_too_and_a_run_goes_on(
    data_folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    async with open_store(data_folder) as store:
        for number in range(20):
            await whole_run(store, f"run{number}", "x" * 5_000)
    with (data_folder / "runs.sqlite").open("r+b") as file:
        file.seek(4096)
        file.write(b"\xff" * 100_000)
    async with open_store(data_folder) as store:
        with pytest.raises(BadUsage, match=r"runs.sqlite cannot be read \(.*malformed\): move it away"):
            await store.runs()
        await whole_run(store, "new")
    assert "runs cannot be kept in" in capsys.readouterr().err


async def test_a_file_of_another_program_is_left_alone(data_folder: Path) -> None:
    database = sqlite3.connect(put(data_folder))
    database.execute("CREATE TABLE runs (mine TEXT)")
    database.close()
    with pytest.raises(BadUsage, match="belongs to another program: move it away, or name another folder"):
        async with open_store(data_folder):
            pass


async def test_a_file_of_another_version_is_left_alone(data_folder: Path) -> None:
    async with open_store(data_folder) as store:
        await store.saver.conn.execute("PRAGMA user_version = 99")
    with pytest.raises(BadUsage, match="made by another version"):
        async with open_store(data_folder):
            pass


async def test_a_folder_that_cannot_be_made_costs_the_record_and_not_the_run(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "file").write_text("in the way")
    async with open_store(tmp_path / "file" / "data") as store:
        with store.claim("run"):
            await whole_run(store, "run")
        assert (await store.runs())[0].outcome == "complete"
    said = capsys.readouterr().err
    assert (
        said.count("\n") == 1 and f"runs cannot be kept in {tmp_path}/file/data/runs.sqlite (Not a directory)" in said
    )


@pytest.mark.parametrize("limit", ["PRAGMA max_page_count = 20", "PRAGMA query_only = ON"], ids=["full", "read-only"])
async def test_a_disk_that_takes_nothing_more_costs_the_record_and_not_the_run(
    data_folder: Path, limit: str, capsys: pytest.CaptureFixture[str]
) -> None:
    async with open_store(data_folder) as store:
        await store.begin("run", "", "Why?", "{}")
        await store.saver.conn.execute(limit)
        await checkpoint(store, "run", SECRET * 10_000)
        await whole_run(store, "other", "x" * 1_000_000)
        assert not store.saver.conn.in_transaction
        async with open_store(data_folder) as another:  # nobody else is locked out
            await whole_run(another, "third")
    assert capsys.readouterr().err.count("runs cannot be kept in") == 1


def many(folder: Path, name: str, runs: int, together: Any, _: Any) -> None:
    async def main() -> None:
        together.wait(PATIENCE)
        async with open_store(folder) as store:
            await asyncio.gather(*(whole_run(store, f"{name}{number}") for number in range(runs)))

    asyncio.run(main())


async def test_several_processes_make_the_file_and_write_to_it_at_the_same_time(data_folder: Path) -> None:
    together = FORKS.Barrier(4)
    for fork in [Fork(many, data_folder, name, 25, together) for name in "abcd"]:
        fork.join()
    async with open_store(data_folder) as store:
        runs = await store.runs()
    assert len(runs) == 100 and {run.outcome for run in runs} == {"complete"}


class Foreign(BaseModel):
    a: int = 1


async def test_every_type_of_the_state_comes_back_as_itself_and_no_other_does(store: Store) -> None:
    ours = {kind for kind in build_serde_allowlist(schemas=[Research]) if kind[0].startswith("state.")}
    assert ours == {(kind.__module__, kind.__name__) for kind in records()} & ours and len(ours) >= 10
    stored = store.saver.serde.dumps_typed({"ours": [answer()], "foreign": Foreign()})
    assert store.saver.serde.loads_typed(stored) == {"ours": [answer()], "foreign": {"a": 1}}
    with pytest.raises(TypeError):
        store.saver.serde.dumps_typed(lambda: 1)


async def test_a_claim_ends_with_its_holder(tmp_path: Path) -> None:
    path = tmp_path / "claim"
    with claimed(path):
        assert is_claimed(path)
        with pytest.raises(Taken), claimed(path):
            pass
    assert not is_claimed(path) and not path.exists()
    with in_turn(path):
        pass
    with claimed(path):
        pass


def claims(path: Path, log: Path, times: int, _: Any) -> None:
    """Take a claim again and again, and write down when it was had."""
    for _ in range(times):
        is_claimed(path)
        try:
            with claimed(path), log.open("a") as file:
                file.write("in\n")
                file.flush()
                file.write("out\n")
        except Taken:
            pass


def test_a_claim_is_had_by_one_process_at_a_time(tmp_path: Path) -> None:
    for fork in [Fork(claims, tmp_path / "claim", tmp_path / "log", 300) for _ in range(3)]:
        fork.join()
    words = (tmp_path / "log").read_text().split()
    assert len(words) > 10 and words == ["in", "out"] * (len(words) // 2)
