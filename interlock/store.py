"""Store: the runs that are kept, and the checkpoints of those that are under way, in one SQLite file."""

import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from interlock.claim import Taken, claimed, is_claimed
from interlock.exits import BadUsage
from state.answer import Answer

if TYPE_CHECKING:
    import aiosqlite
    from langgraph.checkpoint.sqlite.aio import AsyncSqliteSaver

FILE: Final = "runs.sqlite"
BUSY_SECONDS: Final = 30.0
_TABLE: Final = """
CREATE TABLE IF NOT EXISTS runs (
    id TEXT PRIMARY KEY, name TEXT NOT NULL, question TEXT NOT NULL, job TEXT NOT NULL, began REAL NOT NULL,
    ended REAL, outcome TEXT, stop_reason TEXT NOT NULL DEFAULT '', answer TEXT)
"""
_COLUMNS: Final = "id, name, question, began, ended, outcome, stop_reason"


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
        alive: A process is working on it now. Not ended and not alive: it was killed, and can be resumed.
    """

    id: str
    name: str
    question: str
    began: float
    ended: float | None
    outcome: str | None
    stop_reason: str
    alive: bool


class Store:
    """The runs of one data folder; several processes may have it open.

    Attributes:
        folder: The data folder.
        saver: Keeps the checkpoints.
    """

    def __init__(self, folder: Path, saver: "AsyncSqliteSaver") -> None:
        self.folder = folder
        self.saver = saver
        self._database: aiosqlite.Connection = saver.conn

    async def runs(self, limit: int = 100) -> list[Recorded]:
        """The runs, the newest first."""
        rows = await self._rows(f"SELECT {_COLUMNS} FROM runs ORDER BY began DESC LIMIT ?", limit)  # noqa: S608
        return [self._recorded(row) for row in rows]

    async def find(self, prefix: str) -> Recorded:
        """The run whose id begins so.

        Raises:
            BadUsage: There is none, or more than one.
        """
        by_id = f"SELECT {_COLUMNS} FROM runs WHERE substr(id, 1, ?) = ? OR name = ? ORDER BY began DESC LIMIT 2"  # noqa: S608
        rows = await self._rows(by_id, len(prefix), prefix, prefix)
        if not rows or not prefix:
            raise BadUsage(f"there is no run '{prefix}' in {self.folder}: `interlock runs` lists those that are kept")
        if len(rows) > 1 and rows[0][0] != prefix:
            raise BadUsage(f"more than one run begins with '{prefix}': type more of its id")
        return self._recorded(rows[0])

    async def answer(self, run: str) -> Answer | None:
        """The answer of a run that has ended."""
        rows = await self._rows("SELECT answer FROM runs WHERE id = ?", run)
        return Answer.model_validate_json(rows[0][0]) if rows and rows[0][0] else None

    async def job(self, run: str) -> str:
        """The job of a run that has not ended, as `begin` was given it."""
        rows = await self._rows("SELECT job FROM runs WHERE id = ?", run)
        return str(rows[0][0]) if rows else ""

    @asynccontextmanager
    async def claim(self, run: str) -> AsyncIterator[None]:
        """Be the only one who works on a run.

        Raises:
            BadUsage: Somebody else is.
        """
        try:
            with claimed(self._claim_of(run)):
                yield
        except Taken:
            raise BadUsage(f"run {run} is being worked on now: wait until it ends, or stop it there") from None

    async def begin(self, run: str, name: str, question: str, job: str) -> None:
        """Note a new run."""
        row = (run, name, question, job, time.time())
        await self._write("INSERT INTO runs (id, name, question, job, began) VALUES (?, ?, ?, ?, ?)", row)

    async def end(self, run: str, answer: Answer) -> None:
        """Keep a run's answer; its checkpoints, which hold what the sources said, go."""
        row = (time.time(), answer.outcome, answer.stop_reason, answer.model_dump_json(), run)
        await self._write(
            "UPDATE runs SET ended = ?, outcome = ?, stop_reason = ?, answer = ?, job = '' WHERE id = ?", row
        )
        await self.saver.adelete_thread(run)

    def _claim_of(self, run: str) -> Path:
        return self.folder / f"{run}.lock"

    def _recorded(self, row: Any) -> Recorded:
        return Recorded(*row, alive=row[5] is None and is_claimed(self._claim_of(row[0])))

    async def _rows(self, query: str, *values: Any) -> list[Any]:
        async with self.saver.lock, self._database.execute(query, values) as found:
            return list(await found.fetchall())

    async def _write(self, query: str, values: Any) -> None:
        async with self.saver.lock:
            await self._database.execute(query, values)
            await self._database.commit()


@asynccontextmanager
async def open_store(folder: Path | None = None) -> AsyncIterator[Store]:
    """The store of a data folder, made when it is not there.

    Args:
        folder: The data folder; the user's when not given.
    """
    import aiosqlite
    from langgraph.checkpoint.sqlite.aio import AsyncSqliteSaver

    from nodes.sources.index import data_folder

    folder = folder or data_folder()
    async with aiosqlite.connect(folder / FILE, timeout=BUSY_SECONDS) as database:
        saver = AsyncSqliteSaver(database)
        await saver.setup()
        store = Store(folder, saver)
        await store._write(_TABLE, ())
        yield store
