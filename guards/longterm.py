"""Long term: facts that outlive a thread, in LangGraph's store, bounded and found by words (guide: D2, D7).

Unit: facts of one namespace. At the limit the least important go, of those the oldest. Any `BaseStore` will do; a
server hands its own to a node as `runtime.store`, elsewhere `open_store` opens one in SQLite. Not covered: search by
meaning.
"""

from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from guards.folder import data_folder
from state.remembered import Fact

if TYPE_CHECKING:
    from langgraph.store.base import BaseStore

FACTS_STORED: Final = 500
"""Facts of one namespace."""

FOUND: Final = 10


@asynccontextmanager
async def open_store(path: Path | None = None) -> "AsyncIterator[BaseStore]":
    """LangGraph's SQLite store, in the data folder if no file is named; close it with its `async with`."""
    from langgraph.store.sqlite.aio import AsyncSqliteStore

    async with AsyncSqliteStore.from_conn_string(str(path or data_folder() / "facts.sqlite")) as store:
        await store.setup()
        yield store


async def keep(store: "BaseStore", namespace: Sequence[str], fact: Fact) -> bool:
    """Keep a fact; a newer one of the same category and key replaces it.

    Returns:
        Whether it was kept: a pinned fact is not replaced by another value, and a full namespace of more important
        facts takes no lesser one.
    """
    space, key = tuple(namespace), f"{fact.category}/{fact.key}"
    held = await _all(store, space)
    known = held.get(key)
    if known is not None and known.pinned and known.value != fact.value:
        return False
    loose = sorted((one.importance, one.noted, name) for name, one in held.items() if not one.pinned and name != key)
    if known is None and len(held) >= FACTS_STORED:
        if not loose or (loose[0][0] > fact.importance and not fact.pinned):
            return False
        await store.adelete(space, loose[0][2])
    newest = max((one.noted for one in held.values()), default=0)
    await store.aput(space, key, fact.model_copy(update={"noted": newest + 1}).model_dump(), index=False)
    return True


async def recall(store: "BaseStore", namespace: Sequence[str], words: str, limit: int = FOUND) -> list[Fact]:
    """The facts that share most words with a text, pinned and important ones first among equals."""
    wanted, held = _words(words), await _all(store, tuple(namespace))
    found = [(len(wanted & _words(f"{one.category} {one.key} {one.value}")), one) for one in held.values()]
    found.sort(key=lambda pair: (-pair[0], not pair[1].pinned, -pair[1].importance, -pair[1].noted))
    return [fact for shared, fact in found if shared][:limit]


async def forget(store: "BaseStore", namespace: Sequence[str], category: str, key: str) -> None:
    """Delete one fact, pinned or not."""
    await store.adelete(tuple(namespace), f"{category}/{key}")


async def _all(store: "BaseStore", space: tuple[str, ...]) -> dict[str, Fact]:
    items: list[Any] = await store.asearch(space, limit=FACTS_STORED)
    return {item.key: Fact.model_validate(item.value) for item in items if item.namespace == space}


def _words(text: str) -> set[str]:
    return set("".join(c if c.isalnum() else " " for c in text.casefold()).split())
