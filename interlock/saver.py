"""Saver: the checkpoints of runs under way. LangGraph's own SQLite saver, with three differences.

A run keeps its last checkpoint only, since going on needs no more. A disk that is full or a file that is damaged costs
the record of a run, never the run. And what is read back is plain data or a record of `state/`, nothing else.
"""

import inspect
import sqlite3
from collections.abc import Callable, Sequence
from functools import cache
from importlib import import_module
from pkgutil import iter_modules
from typing import TYPE_CHECKING, Any

from langgraph.checkpoint.serde.jsonplus import JsonPlusSerializer
from langgraph.checkpoint.sqlite.aio import AsyncSqliteSaver

if TYPE_CHECKING:
    import aiosqlite
    from langchain_core.runnables import RunnableConfig
    from langgraph.checkpoint.base import ChannelVersions, Checkpoint, CheckpointMetadata

TABLES = ("checkpoints", "writes")
"""The two tables of the pinned saver; it has no `prune`, so old rows are deleted here."""


class Saver(AsyncSqliteSaver):
    """Keeps checkpoints in a database that has its tables already.

    Args:
        database: Where.
        lost: Is told when something could not be kept.
    """

    def __init__(self, database: "aiosqlite.Connection", lost: Callable[[sqlite3.Error], None]) -> None:
        super().__init__(database, serde=JsonPlusSerializer(allowed_msgpack_modules=records()))
        self._lost = lost

    async def aput(
        self,
        config: "RunnableConfig",
        checkpoint: "Checkpoint",
        metadata: "CheckpointMetadata",
        new_versions: "ChannelVersions",
    ) -> "RunnableConfig":
        """Keep a checkpoint and drop those before it."""
        thread, namespace = config["configurable"]["thread_id"], config["configurable"]["checkpoint_ns"]
        try:
            await super().aput(config, checkpoint, metadata, new_versions)
            await self._drop_before(thread, namespace, checkpoint["id"])
        except sqlite3.Error as error:
            await self._undo(error)
        return {
            "configurable": {"thread_id": thread, "checkpoint_ns": namespace, "checkpoint_id": checkpoint["id"]},
        }

    async def aput_writes(
        self, config: "RunnableConfig", writes: Sequence[tuple[str, Any]], task_id: str, task_path: str = ""
    ) -> None:
        """Keep what a node of a step that is under way has returned."""
        try:
            await super().aput_writes(config, writes, task_id, task_path)
        except sqlite3.Error as error:
            await self._undo(error)

    async def _drop_before(self, thread: str, namespace: str, checkpoint: str) -> None:
        async with self.lock:
            for table in TABLES:
                await self.conn.execute(
                    f"DELETE FROM {table} WHERE thread_id = ? AND checkpoint_ns = ? AND checkpoint_id < ?",  # noqa: S608
                    (thread, namespace, checkpoint),
                )
            await self.conn.commit()

    async def _undo(self, error: sqlite3.Error) -> None:
        """Leave no transaction open: it would lock everybody else out."""
        self._lost(error)
        async with self.lock:
            await self.conn.rollback()


async def forget(database: "aiosqlite.Connection", thread: str) -> None:
    """Delete all checkpoints of a thread; whoever calls commits."""
    for table in TABLES:
        await database.execute(f"DELETE FROM {table} WHERE thread_id = ?", (thread,))  # noqa: S608 - names from this file


@cache
def records() -> tuple[type, ...]:
    """Every record type of `state/`: what a checkpoint may hold besides plain data."""
    import state

    modules = [import_module(f"state.{module.name}") for module in iter_modules(state.__path__)]
    return tuple(
        kind
        for module in modules
        for _, kind in inspect.getmembers(module, inspect.isclass)
        if kind.__module__ == module.__name__
    )
