"""Long term: facts that outlive a thread, in LangGraph's store, bounded and found by words (guide: D2, D7).

Unit: facts of one namespace. At the limit the least important go, of those the oldest, a pinned one never. Any
`BaseStore` will do; a server hands its own to a node as `runtime.store`, elsewhere `open_store` opens one in SQLite.
One event loop keeps its facts one after the other. Not covered: search by meaning; how many namespaces there are; two
processes at the same moment, of which the later writes over a new pin, and may go over the limit until the next fact.
"""

import asyncio
from collections.abc import AsyncIterator, Iterable, Mapping, Sequence
from contextlib import asynccontextmanager
from functools import reduce
from operator import or_
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final
from weakref import WeakKeyDictionary

from guards.folder import data_folder
from guards.remember import orders
from guards.running.current import current_attempt
from state.label import PROGRAM, Label
from state.remembered import Fact

if TYPE_CHECKING:
    from langgraph.store.base import BaseStore

FACTS_STORED: Final = 500
"""Facts of one namespace."""

FOUND: Final = 10
PAGE: Final = 1_000
"""Items that are read at a time."""

_turns: "WeakKeyDictionary[asyncio.AbstractEventLoop, asyncio.Lock]" = WeakKeyDictionary()
"""Deciding and writing are two steps of a store: nobody comes between."""


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
        Whether it was kept: a pinned fact is not replaced by another value, a text that gives orders is not kept, and a
        full namespace of more important facts takes no lesser one.
    """
    if orders(f"{fact.category} {fact.key} {fact.value}"):
        return False
    space, name = tuple(namespace), f"{fact.category}/{fact.key}"
    fact = fact.model_copy(update={"label": fact.label | _read_so_far()})
    async with _turns.setdefault(asyncio.get_running_loop(), asyncio.Lock()):
        held = await _all(store, space)
        known = held.get(name)
        if known is not None and known.pinned and known.value != fact.value:
            return False
        newest = max((one.noted for one in held.values()), default=0)
        held[name] = fact.model_copy(
            update={"noted": newest + 1, "pinned": fact.pinned or bool(known and known.pinned)}
        )
        gone = _too_many(held)
        if name in gone or len(held) - len(gone) > FACTS_STORED:
            return False
        await _write(store, space, {name: held[name], **dict.fromkeys(gone)})
    return True


def _too_many(held: Mapping[str, Fact]) -> list[str]:
    """Names of the facts above the limit that may go."""
    loose = sorted((one.importance, one.noted, name) for name, one in held.items() if not one.pinned)
    return [name for *_, name in loose[: max(0, len(held) - FACTS_STORED)]]


async def _write(store: "BaseStore", space: tuple[str, ...], facts: Mapping[str, Fact | None]) -> None:
    """Put and delete in one step."""
    from langgraph.store.base import PutOp

    values = {name: None if fact is None else fact.model_dump() for name, fact in facts.items()}
    await store.abatch([PutOp(space, name, value, index=False) for name, value in values.items()])


async def recall(store: "BaseStore", namespace: Sequence[str], words: str, limit: int = FOUND) -> list[Fact]:
    """The facts that share most words with a text, pinned and important ones first among equals."""
    wanted, held = _words(words), await _all(store, tuple(namespace))
    found = [(len(wanted & _words(f"{one.category} {one.key} {one.value}")), one) for one in held.values()]
    found.sort(key=lambda pair: (-pair[0], not pair[1].pinned, -pair[1].importance, -pair[1].noted))
    recalled = [fact for shared, fact in found if shared][:limit]
    _widen(fact.label for fact in recalled)
    return recalled


def _read_so_far() -> Label:
    """The label of all that the running node has read: what it keeps may come from there."""
    attempt = current_attempt.get()
    return PROGRAM if attempt is None or attempt.taint is None else attempt.taint.label


def _widen(labels: Iterable[Label]) -> None:
    """The running node has read this too."""
    attempt = current_attempt.get()
    if attempt is not None and attempt.taint is not None and attempt.taint.kept:
        attempt.taint.widen(reduce(or_, labels, PROGRAM))


async def forget(store: "BaseStore", namespace: Sequence[str], category: str, key: str) -> None:
    """Delete one fact, pinned or not."""
    await store.adelete(tuple(namespace), f"{category}/{key}")


async def _all(store: "BaseStore", space: tuple[str, ...]) -> dict[str, Fact]:
    """What stands in a namespace itself; a search finds what is below it too."""
    items: list[Any] = []
    while len(page := await store.asearch(space, limit=PAGE, offset=len(items))) == PAGE:
        items += page
    return {item.key: Fact.model_validate(item.value) for item in (*items, *page) if item.namespace == space}


def _words(text: str) -> set[str]:
    return set("".join(c if c.isalnum() else " " for c in text.casefold()).split())
