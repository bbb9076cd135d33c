"""Chosen: the store that INTERLOCK_STORE names.

`memory`, a path or `sqlite:///path`, `postgresql://…`; by default SQLite in the data folder. A default that cannot be
opened is replaced by memory, with a warning: the limits of runs still hold, those of hours, days and tenants hold in
this process only. A store that somebody chose is never replaced; without it no call is made.
"""

import atexit
import logging
import os
import threading
from collections.abc import Sequence
from pathlib import Path

from guards.stores import CannotOpen, Decide, Rows, Store
from guards.stores.memory import MemoryStore
from guards.stores.queued import Database, QueuedStore

log = logging.getLogger("interlock")

FILE = "ledger.sqlite"
POSTGRES = ("postgresql://", "postgres://")
STORES_KEPT = 8

_Chosen = tuple[int, str, str]
"""Process, INTERLOCK_STORE, INTERLOCK_DATA: a forked process opens a store of its own."""

_stores: dict[_Chosen, Store] = {}
_lock = threading.Lock()


def store() -> Store:
    """The store of this process; nothing is opened before its first use."""
    chosen = os.getpid(), os.environ.get("INTERLOCK_STORE", ""), os.environ.get("INTERLOCK_DATA", "")
    return _stores.get(chosen) or _made(chosen)


def store_name() -> str:
    """Which store it is, for people: no user and no password is in it."""
    name = os.environ.get("INTERLOCK_STORE", "")
    if name.startswith(POSTGRES):
        from urllib.parse import urlsplit

        return f"PostgreSQL at {urlsplit(name).hostname or 'a local socket'}"
    return name if name == "memory" else f"SQLite at {name}" if name else "SQLite in the data folder"


def close_stores() -> None:
    """Finish what was asked of every store and let go of them; the next use opens them again."""
    with _lock:
        made = list(_stores.values())
        _stores.clear()
    for each in made:
        each.close()


atexit.register(close_stores)


def _made(chosen: _Chosen) -> Store:
    with _lock:
        while len(_stores) >= STORES_KEPT:
            _stores.pop(next(iter(_stores))).close()
        return _stores.setdefault(chosen, _store_of(chosen[1]))


def _store_of(name: str) -> Store:
    if not name:
        return OrMemory(QueuedStore(_default))
    if name == "memory":
        return MemoryStore()
    if name.startswith(POSTGRES):
        from guards.stores.postgres import postgres_store

        return postgres_store(name)
    from guards.stores.sqlite import sqlite_store

    return sqlite_store(Path(name.removeprefix("sqlite:///")).expanduser().absolute())


def _default() -> Database:
    from guards.folder import data_folder
    from guards.stores.sqlite import SqliteDatabase

    try:
        return SqliteDatabase(data_folder() / FILE)
    except OSError as error:
        raise CannotOpen(f"in the data folder cannot be made ({type(error).__name__})") from None


class OrMemory:
    """A store nobody chose: memory takes its place when it cannot be opened.

    Args:
        first: The store to use.
    """

    def __init__(self, first: Store) -> None:
        self._store = first

    async def change(self, keys: Sequence[str], decide: Decide) -> Rows:
        """Read some rows, decide, write."""
        try:
            return await self._store.change(keys, decide)
        except CannotOpen as error:
            return await self._memory(error).change(keys, decide)

    def change_soon(self, keys: Sequence[str], decide: Decide, *, with_next: bool = False) -> None:
        """The same without waiting."""
        self._store.change_soon(keys, decide, with_next=with_next)

    async def after(self, prefix: str, key: str, at_most: int) -> Rows:
        """Rows whose keys begin so and come after `key`, in the order of their keys."""
        try:
            return await self._store.after(prefix, key, at_most)
        except CannotOpen as error:
            return await self._memory(error).after(prefix, key, at_most)

    async def settled(self) -> None:
        """Wait until everything that `change_soon` was asked for is written."""
        await self._store.settled()

    async def due(self, prefix: str, before: float, at_most: int) -> Rows:
        """Rows whose `until` is over, the oldest first."""
        try:
            return await self._store.due(prefix, before, at_most)
        except CannotOpen as error:
            return await self._memory(error).due(prefix, before, at_most)

    def close(self) -> None:
        """Let go of everything."""
        self._store.close()

    def _memory(self, error: CannotOpen) -> Store:
        with _lock:
            if not isinstance(self._store, MemoryStore):
                log.warning("the ledger is kept in memory only", extra={"error": str(error)})
                self._store = MemoryStore()
            return self._store
