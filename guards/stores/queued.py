"""Queued: a store behind a database, whose one thread does what everybody asks for, in that order.

No connection is shared between threads, no event loop waits for a disk, and what is asked for at the same time is done
in one transaction and told to each event loop at once: 200 branches that reserve together cost a few of them, and to
wake a loop is the dearest part. The thread ends when nobody needs it.
"""

import asyncio
import logging
import threading
import time
from collections import defaultdict, deque
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import Future
from contextlib import suppress
from dataclasses import dataclass
from typing import Protocol

import orjson

from guards.stores import LINGER_SECONDS, Decide, Row, Rows, StoreDown

log = logging.getLogger("interlock")

AT_ONCE = 64
"""Changes in one transaction."""

IDLE_SECONDS = 5.0
CLOSE_SECONDS = 5.0


class Database(Protocol):
    """An open database with a table of rows; used from one thread. Everything here blocks and may raise `StoreDown`."""

    def transact(self, keys: Sequence[str], work: Callable[[dict[str, Row | None]], Rows]) -> None:
        """Read rows, let `work` say what to write, write it: alone, all or nothing."""

    def due(self, prefix: str, before: float, at_most: int) -> Rows:
        """Rows whose keys begin so and whose `until` is over by then, the oldest first."""

    def after(self, prefix: str, key: str, at_most: int) -> Rows:
        """Rows whose keys begin so and come after `key`, in the order of their keys."""

    def close(self) -> None:
        """Disconnect."""


@dataclass(eq=False)
class _Job:
    """One thing to do: a change, or with `ask` a question. Its end is told to who waits in an event loop, or kept."""

    done: "asyncio.Future[Rows] | Future[Rows]"
    keys: Sequence[str] = ()
    decide: Decide = dict
    ask: Callable[[Database], Rows] | None = None
    begun: bool = False
    told: bool = False


class QueuedStore:
    """A store that keeps its rows in a database.

    Args:
        connect: Opens the database; called in the store's own thread, and again after a failure.
    """

    def __init__(self, connect: Callable[[], Database]) -> None:
        self._connect = connect
        self._jobs: deque[_Job] = deque()
        self._thread: threading.Thread | None = None
        self._patience = IDLE_SECONDS
        self._ready = threading.Condition()
        self._last: Future[Rows] | None = None

    async def change(self, keys: Sequence[str], decide: Decide) -> Rows:
        """Read some rows, decide, write."""
        return await self._answer(keys, decide)

    def change_soon(self, keys: Sequence[str], decide: Decide, *, with_next: bool = False) -> None:
        """The same without waiting."""
        self._last = Future()
        self._put(_Job(self._last, keys, decide), wake=not with_next)

    async def settled(self) -> None:
        """Wait until the last of those changes, hence each of them, is written."""
        last = self._last
        if last is not None and not last.done():
            self._wake()
            await _end_of(last)
        if last is not None and isinstance(error := last.exception(), StoreDown):
            raise error

    async def due(self, prefix: str, before: float, at_most: int) -> Rows:
        """Rows whose `until` is over, the oldest first."""
        return await self._answer(ask=lambda database: database.due(prefix, before, at_most))

    async def after(self, prefix: str, key: str, at_most: int) -> Rows:
        """Rows whose keys begin so and come after `key`, in the order of their keys."""
        return await self._answer(ask=lambda database: database.after(prefix, key, at_most))

    def close(self) -> None:
        """Finish what was asked for and let go of everything."""
        with self._ready:
            thread, self._patience = self._thread, 0.0
            self._ready.notify()
        if thread is not None:
            thread.join(CLOSE_SECONDS)

    async def _answer(
        self, keys: Sequence[str] = (), decide: Decide = dict, ask: Callable[[Database], Rows] | None = None
    ) -> Rows:
        waiter: asyncio.Future[Rows] = asyncio.get_running_loop().create_future()
        self._put(_Job(waiter, keys, decide, ask))
        return await waiter

    def _put(self, job: _Job, wake: bool = True) -> None:
        with self._ready:
            self._jobs.append(job)
            if self._thread is None:
                self._patience = IDLE_SECONDS
                self._thread = threading.Thread(target=self._work, name="interlock-store", daemon=True)
                self._thread.start()
            elif wake or len(self._jobs) >= AT_ONCE:
                self._ready.notify()

    def _wake(self) -> None:
        with self._ready:
            self._ready.notify()

    def _work(self) -> None:
        database: Database | None = None
        while jobs := self._next():
            database = self._attend(database, [job for job in jobs if not job.done.cancelled()])
        _close(database)

    def _attend(self, database: Database | None, jobs: list[_Job]) -> Database | None:
        """Do them; a connection that had gone before anything was decided is made anew, once."""
        fresh = database is None
        try:
            database = database or self._connect()
            _do(database, jobs)
        except Exception as error:
            _close(database)
            if not fresh and not any(job.begun for job in jobs):
                return self._attend(None, jobs)
            _fail(jobs, error)
            return None
        return database

    def _next(self) -> list[_Job]:
        """The jobs that are waiting; none when the thread is to end. Looks now and then, for those that wake nobody."""
        with self._ready:
            idle_from = time.monotonic()
            while not self._jobs and time.monotonic() - idle_from < self._patience:
                self._ready.wait(LINGER_SECONDS)
            if not self._jobs:
                self._thread = None
            return [self._jobs.popleft() for _ in range(min(AT_ONCE, len(self._jobs)))]


def _do(database: Database, jobs: list[_Job]) -> None:
    changes = [job for job in jobs if job.ask is None]
    if changes:
        _tell(_change(database, changes))
    for job in jobs:
        if job.ask is not None:
            _tell([(job, job.ask(database))])


def _change(database: Database, jobs: list[_Job]) -> "list[tuple[_Job, Rows | Exception]]":
    """One transaction for all: each sees what those before it wrote, and one that raises writes nothing."""
    results: list[Rows | Exception] = []

    def work(rows: dict[str, Row | None]) -> Rows:
        changed: dict[str, Row | None] = {}
        for job in jobs:
            results.append(_decided(job, {key: rows[key] for key in job.keys}))
            if isinstance(results[-1], Mapping):
                rows.update(results[-1])
                changed.update(results[-1])
        return changed

    database.transact(sorted({key for job in jobs for key in job.keys}), work)
    return list(zip(jobs, results, strict=True))


def _decided(job: _Job, rows: Rows) -> Rows | Exception:
    job.begun = True
    try:
        return job.decide(rows)
    except Exception as error:
        return error


def _fail(jobs: list[_Job], error: Exception) -> None:
    told = error if isinstance(error, StoreDown) else StoreDown(f"failed ({type(error).__name__})")
    _tell([(job, told) for job in jobs if not job.told])


def _tell(results: "list[tuple[_Job, Rows | Exception]]") -> None:
    """Say what came of them; each event loop is woken once."""
    answers = defaultdict[asyncio.AbstractEventLoop, list[tuple[asyncio.Future[Rows], Rows | Exception]]](list)
    for job, result in results:
        job.told = True
        if isinstance(job.done, asyncio.Future):
            answers[job.done.get_loop()].append((job.done, result))
            continue
        _give([(job.done, result)])
        if isinstance(result, Exception):
            log.warning("a change was not written", extra={"error": str(result)})
    for loop, some in answers.items():
        with suppress(RuntimeError):  # it was closed meanwhile
            loop.call_soon_threadsafe(_give, some)


def _give(answers: "Sequence[tuple[asyncio.Future[Rows] | Future[Rows], Rows | Exception]]") -> None:
    for done, result in answers:
        if done.done():  # who waited was cancelled meanwhile
            continue
        if isinstance(result, Exception):
            done.set_exception(result)
        else:
            done.set_result(result)


def _close(database: Database | None) -> None:
    try:
        if database is not None:
            database.close()
    except Exception as error:
        log.warning("the ledger's store did not close", extra={"error": type(error).__name__})


def text_of(row: Row) -> str:
    """A row as its JSON; named tuples are lists there."""
    return orjson.dumps(row, default=tuple).decode()


async def _end_of(job: "Future[Rows]") -> None:
    """Wait for a job of somebody else's: being cancelled meanwhile does not cancel it."""
    ended: Future[None] = Future()

    def tell(_: object) -> None:
        if ended.set_running_or_notify_cancel():
            ended.set_result(None)

    job.add_done_callback(tell)
    await asyncio.wrap_future(ended)
