"""Ledger: what may still be used. Reserved before a call, settled after it, charged when nobody knows.

Because the reservation comes first, what is used and held never passes a limit, at any fan-out and in any number of
processes that share the store. All accounts of a call (`guards.ledger.entries`) are reserved together or none is.

A hold is a lease: when its process is killed it becomes a charge of what was reserved, at the latest `LEASE_SECONDS`
after the attempt's deadline. A task is a node's place in a run, and keeps its name when it runs again after a crash, an
interrupt or a cancellation. It first turns its own old holds into charges, and goes on in the same accounts: it gets no
new budget, a call that was really made twice costs twice, and nothing else does. What its earlier executions used is
added to the run's record when it ends, so `run.spent` and the run's account agree whenever no task is under way.

A settlement rides with the next change of the store, at the latest `LINGER_SECONDS` later; a process that is killed
before has its hold charged as above. Where a checkpointer keeps the run, it is written before the node's result is.

Not covered: what a provider bills above its own usage numbers; a reply longer than the maximum that the call stated.
"""

import asyncio
import logging
import threading
import time
from typing import TYPE_CHECKING

from guards.calls.calls import Call, NotMade, Usage
from guards.calls.together import Change
from guards.errors import Permanent
from guards.ledger.accounts import HOLD, Held, held_of, reserving, settling, spent_of
from guards.ledger.amount import NOTHING, Amount, of_spent
from guards.ledger.entries import LONGEST_LEASE, Entry, actual_of, entry_of, windows_of
from guards.stores import Rows, Store, StoreDown
from guards.stores.chosen import store
from state.guarded import Spent

if TYPE_CHECKING:
    from guards.policy import Policy
    from guards.running.scope import Scope

log = logging.getLogger("interlock")

LEASE_SECONDS = 60.0
"""What a hold outlives its attempt's deadline by."""

FOREVER = 1e12
SWEEP_SECONDS = 30.0
SWEPT_AT_ONCE = 500
PATIENCE = 2.0
"""Seconds that a node waits for the store before its first call and after its last."""

FREE_OF_CHARGE_STATUS = range(400, 600)
"""An HTTP error reply is not billed; it still counts as a call."""


class LedgerGate:
    """Reserves a call in the books of its run and of every run around it, and settles it there."""

    def __init__(self) -> None:
        self._entries: dict[Call, Entry] = {}
        self._swept = float("-inf")
        self._lock = threading.Lock()

    async def change(self, call: Call, books: Store) -> Change:
        """Reserve the call everywhere or nowhere.

        Raises:
            LimitReached: One of the limits would be passed.
            PriceUnknown: Money is limited and the model's price is unknown.
            StoreDown: The store does not answer.
        """
        entry = entry_of(call, books)
        await self._sweep_now_and_then(books)
        self._hold(entry)
        lease = time.time() + min(call.attempt.left(), LONGEST_LEASE) + LEASE_SECONDS

        def made(rows: Rows) -> None:
            for link, account in entry.shares:
                link.scope.known = spent_of(rows[account.key])
                link.scope.used = link.scope.known.plus(held_of(rows[account.key]))
            self._entries[call] = entry

        def failed(error: BaseException) -> None:
            nothing = dict.fromkeys(entry.keys, NOTHING)
            self._let_go(entry, nothing)
            if not isinstance(error, Permanent):  # cancelled, or nobody knows what was written
                _settle(entry, nothing)

        return Change(entry.keys, reserving(entry.hold, entry.accounts, lease), made, failed)

    def leave(self, call: Call, error: BaseException | None, usage: Usage | None) -> None:
        """Settle with what was used; what nobody knows is charged as it was reserved."""
        entry = self._entries.pop(call, None)
        if entry is None:
            return
        if getattr(error, "status_code", None) in FREE_OF_CHARGE_STATUS:
            usage = (0, 0)
        actual = actual_of(call, entry, usage) if not isinstance(error, NotMade) else dict.fromkeys(entry.keys, NOTHING)
        self._let_go(entry, actual)
        _settle(entry, actual)

    def _hold(self, entry: Entry) -> None:
        """Hold the call in the attempts that make it: their own limits end with them and need no store."""
        with self._lock:
            for link, account in entry.shares:
                if not link.limits.on:
                    continue
                after = of_spent(link.spent).plus(link.held).plus(account.most)._replace(milliseconds=0)
                Held(link.limits, "an attempt", "raise Policy(per_attempt=Limits(LIMIT=...))").check(after)
            for link, account in entry.shares:
                link.held = link.held.plus(account.most)
                link.scope.called.add(link.place)

    def _let_go(self, entry: Entry, actual: dict[str, Amount]) -> None:
        with self._lock:
            for link, account in entry.shares:
                link.held = link.held.minus(account.most)
                link.spent = link.spent + actual[account.key].spent()

    async def _sweep_now_and_then(self, books: Store) -> None:
        now = time.monotonic()
        if now - self._swept > SWEEP_SECONDS:
            self._swept = now
            await sweep(books)


async def earlier(scope: "Scope", place: str, seconds: float = PATIENCE) -> Spent:
    """What earlier executions of a task have used; calls that they left open are charged as they were reserved.

    Args:
        scope: The run.
        place: The task, as LangGraph names it; the same name after a crash, an interrupt or a cancellation.
        seconds: How long the store may take; at most `PATIENCE`.
    """
    books, task = store(), f"task:{scope.run.id}|{place}"
    try:
        async with asyncio.timeout(min(PATIENCE, seconds)):
            await _charge(books, await books.due(f"{HOLD}{scope.run.id}|{place}|", FOREVER, SWEPT_AT_ONCE))
            rows = await books.change([task], lambda rows: {key: row for key, row in rows.items() if row})
    except (StoreDown, TimeoutError) as error:  # its calls will be refused
        log.warning("nobody knows what a task used before", extra={"error": type(error).__name__})
        return Spent()
    return spent_of(rows.get(task)).spent()


async def settled(seconds: float = PATIENCE) -> None:
    """Wait until everything that was settled is written, no longer than that and `PATIENCE`."""
    try:
        async with asyncio.timeout(min(PATIENCE, seconds)):
            await store().settled()
    except (StoreDown, TimeoutError) as error:  # the holds become charges when their lease is over
        log.warning("the books are not written yet", extra={"error": type(error).__name__})


async def sweep(books: Store) -> None:
    """Charge the holds whose lease is over, and forget the accounts whose time is over."""
    now = time.time()
    await _charge(books, await books.due(HOLD, now, SWEPT_AT_ONCE))
    old = await books.due("", now, SWEPT_AT_ONCE)

    def forget(rows: Rows) -> Rows:
        return {key: None for key, row in rows.items() if row is not None and row["until"] < now}

    if keys := [key for key in old if not key.startswith(HOLD)]:
        await books.change(keys, forget)


async def left(policy: "Policy", tenant: str = "") -> list[tuple[str, str, float]]:
    """What the hour, the day and the tenant still allow: the limit, whose it is, and how much is left."""
    windows = list(windows_of([policy], tenant, NOTHING, None, time.time()))
    rows = await store().change([window.key for window in windows], dict)
    return [
        (name, held.window, allowed - used)
        for window in windows
        for held in window.limits
        for name, used, allowed in held.limits.used(spent_of(rows[window.key]).plus(held_of(rows[window.key])))
    ]


async def used() -> tuple[Spent, Spent]:
    """What all runs of the store have used, or may still use, in this hour and in this day."""
    hour, day = (window.key for window in windows_of([], "", NOTHING, None, time.time()))
    rows = await store().change([hour, day], dict)
    taken = [spent_of(rows[key]).plus(held_of(rows[key])).spent() for key in (hour, day)]
    return taken[0], taken[1]


async def _charge(books: Store, holds: Rows) -> None:
    for hold, row in holds.items():
        if row is not None:
            await books.change([hold, *row["of"]], settling(hold, None))


def _settle(entry: Entry, actual: dict[str, Amount]) -> None:
    entry.store.change_soon(entry.keys, settling(entry.hold, actual), with_next=True)
