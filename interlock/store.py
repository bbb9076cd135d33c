"""Store: the runs that are kept, the newest of them, and the checkpoints of those that are under way."""

import asyncio
import os
import sqlite3
import time
from collections.abc import AsyncIterator, Iterator
from contextlib import ExitStack, asynccontextmanager, contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from interlock.claim import Taken, claimed, is_claimed
from interlock.database import connected, damaged, prepare
from interlock.exits import BadUsage
from interlock.terminal import say
from state.answer import Answer

if TYPE_CHECKING:
    import aiosqlite

FILE: Final = "runs.sqlite"
RUNS_KEPT: Final = 1_000
UNFINISHED_KEPT: Final = 50
"""Of runs that were killed and not resumed."""

BYTES_KEPT: Final = 64_000_000
"""Of all answers together."""

FREE_PAGES: Final = 1_000
"""Pages of 4 KB that the file may hold unused."""

_COLUMNS: Final = "id, name, question, began, ended, outcome, stop_reason"
_FOUND: Final = f"""
SELECT {_COLUMNS} FROM runs
WHERE name = ?1 OR substr(id, 1, length(?1)) = ?1 OR substr(json_extract(answer, '$.trace_id'), 1, length(?1)) = ?1
ORDER BY name = ?1 DESC, rowid DESC LIMIT 2
"""  # noqa: S608
_TOO_MANY: Final = """
SELECT id FROM (
    SELECT id, row_number() OVER newest AS place, sum(size) OVER newest AS bytes,
        count(*) FILTER (WHERE ended IS NULL) OVER newest AS unfinished, ended FROM runs
    WINDOW newest AS (ORDER BY rowid DESC ROWS UNBOUNDED PRECEDING))
WHERE place >= ? OR bytes > ? OR (ended IS NULL AND unfinished >= ?)
"""


@dataclass(frozen=True)
class Recorded:
    """One run as it is listed.

    Attributes:
        id: The run's id, which is also its thread id.
        name: The answer's id, when whoever asked gave it one.
        question: The question, redacted.
        began: Seconds since the epoch.
        ended: Seconds since the epoch; None while it has not ended.
        outcome: How it ended; None while it has not.
        stop_reason: Why it is not complete.
        alive: Somebody is working on it now. Neither ended nor alive: it was killed or waits for a person, and can be
            resumed.
    """

    id: str
    name: str
    question: str
    began: float
    ended: float | None
    outcome: str | None
    stop_reason: str
    alive: bool = False


class Store:
    """The runs of one data folder; several processes may have it open.

    Attributes:
        path: The file that keeps them.
        saver: Keeps the checkpoints.
    """

    def __init__(self, path: Path, database: "aiosqlite.Connection") -> None:
        from interlock.saver import Saver

        self.path = path
        self.saver = Saver(database, self.lost)
        self._said = False

    async def runs(self, limit: int = 100) -> list[Recorded]:
        """The runs, the newest first."""
        rows = await self._rows(f"SELECT {_COLUMNS} FROM runs ORDER BY rowid DESC LIMIT ?", limit)  # noqa: S608
        return [self._recorded(row) for row in rows]

    async def find(self, name: str) -> Recorded:
        """The newest run whose answer has that id, else the one whose own id, or its trace's, begins so.

        Raises:
            BadUsage: There is none, or more than one.
        """
        text = _storable(name)
        rows = await self._rows(_FOUND, text) if text else []
        if not rows:
            raise BadUsage(f"there is no run '{name}' in {self.path}: `interlock runs` lists those that are kept")
        found = self._recorded(rows[0])
        if len(rows) > 1 and found.name != text:
            raise BadUsage(f"'{name}' is more than one run: use more of an id that `interlock runs` lists")
        return found

    async def answer(self, run: str) -> Answer | None:
        """The answer of a run that has ended."""
        rows = await self._rows("SELECT answer FROM runs WHERE id = ?", run)
        return Answer.model_validate_json(rows[0][0]) if rows and rows[0][0] else None

    async def job(self, run: str) -> str:
        """The job of a run that has not ended, as `begin` was given it.

        Raises:
            BadUsage: The run is gone: it was too old to be kept.
        """
        rows = await self._rows("SELECT job FROM runs WHERE id = ? AND job != ''", run)
        if not rows:
            raise BadUsage(f"run {run} is not kept any more: ask again")
        return str(rows[0][0])

    @contextmanager
    def claim(self, run: str) -> Iterator[None]:
        """Be the only one, here and in all processes, who works on a run.

        Raises:
            BadUsage: Somebody else does.
        """
        with ExitStack() as stack:
            try:
                stack.enter_context(claimed(self._claim_of(run)))
            except Taken:
                raise BadUsage(f"run {run} is being worked on now: wait until it ends, or stop it there") from None
            except OSError as error:  # nothing can be written there, so nobody else finds the run either
                self.lost(error)
            yield

    async def begin(self, run: str, name: str, question: str, job: str) -> None:
        """Note a new run; the oldest go when there are too many."""
        row = (run, _storable(name), _storable(question), job, time.time())
        async with self._writing() as database:
            for (old,) in await database.execute_fetchall(_TOO_MANY, (RUNS_KEPT, BYTES_KEPT, UNFINISHED_KEPT)):
                await self._drop(old)
            await database.execute("INSERT INTO runs (id, name, question, job, began) VALUES (?, ?, ?, ?, ?)", row)

    async def end(self, run: str, answer: Answer) -> None:
        """Keep a run's answer; its checkpoints and its job, which hold what came from outside, go."""
        from interlock.saver import forget

        text = answer.model_dump_json()
        row = (time.time(), answer.outcome, answer.stop_reason, text, len(text), run)
        async with self._writing() as database:
            await database.execute(
                "UPDATE runs SET ended = ?, outcome = ?, stop_reason = ?, answer = ?, size = ?, job = '' WHERE id = ?",
                row,
            )
            await forget(database, run)
        async with self._writing() as database:
            ((free,),) = await database.execute_fetchall("PRAGMA freelist_count")
            if free > FREE_PAGES:
                await database.executescript(f"PRAGMA incremental_vacuum({free - FREE_PAGES // 2})")  # a script ends it

    def lost(self, error: Exception) -> None:
        """Say, once, that something could not be kept."""
        if not self._said:
            self._said = True
            why = getattr(error, "strerror", None) or error
            say(f"interlock: runs cannot be kept in {self.path} ({why}): make room there, or set INTERLOCK_DATA")

    async def _drop(self, run: str) -> None:
        """Delete a run unless somebody is working on it."""
        from interlock.saver import forget

        if not is_claimed(self._claim_of(run)):
            await self.saver.conn.execute("DELETE FROM runs WHERE id = ?", (run,))
            await forget(self.saver.conn, run)
            self._claim_of(run).unlink(missing_ok=True)

    def _claim_of(self, run: str) -> Path:
        return self.path.with_name(f"{run}.lock")

    def _recorded(self, row: Any) -> Recorded:
        return replace(Recorded(*row), alive=is_claimed(self._claim_of(row[0])))

    async def _rows(self, query: str, *values: Any) -> list[Any]:
        try:
            async with self.saver.lock:
                return list(await self.saver.conn.execute_fetchall(query, values))
        except sqlite3.DatabaseError as error:
            raise damaged(self.path, error) from None

    @asynccontextmanager
    async def _writing(self) -> AsyncIterator[Any]:
        """One transaction; when it fails, the runs go on unrecorded."""
        async with self.saver.lock:
            try:
                yield self.saver.conn
                await self.saver.conn.commit()
            except sqlite3.Error as error:
                self.lost(error)
                await self.saver.conn.rollback()


@asynccontextmanager
async def open_store(folder: Path | None = None) -> AsyncIterator[Store]:
    """The store of a data folder, made when it is not there.

    A folder in which nothing can be written costs the record, not the run: it is said, and the runs of this process
    are kept in memory.

    Args:
        folder: The data folder; the user's when not given.

    Raises:
        BadUsage: The file in it is damaged or not ours.
    """
    path = (folder or Path(os.environ.get("INTERLOCK_DATA") or "your data folder")) / FILE
    trouble: Exception | None = None
    try:
        path = await asyncio.to_thread(_prepared, folder)
    except (OSError, sqlite3.OperationalError) as error:
        trouble = error
    async with connected(None if trouble else path) as database:
        store = Store(path, database)
        if trouble:
            store.lost(trouble)
        try:
            await store.saver.setup()
        except sqlite3.Error as error:
            store.lost(error)
        yield store


def _prepared(folder: Path | None) -> Path:
    """The store's file, which is there afterwards. Blocks."""
    from guards.folder import data_folder

    folder = folder or data_folder()
    folder.mkdir(parents=True, exist_ok=True, mode=0o700)
    prepare(folder / FILE)
    return folder / FILE


def _storable(text: str) -> str:
    """The text without lone surrogates, which no database takes."""
    return text.encode(errors="replace").decode()
