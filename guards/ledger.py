"""Ledger: what may still be used. Reserved before a call, settled after it, charged when nobody knows.

Because the reservation comes first, what is used and held never passes a limit, at any fan-out and in any number of
processes that share the store. The books are in the store, one account each for

- the run and every run around it, the role in each, and the task (one node's place in one run),
- the clock hour, the day and the tenant's day, over all runs of the store.

A hold is a lease: when its process is killed it becomes a charge of what was reserved, at the latest
`LEASE_SECONDS` after the attempt's deadline. A task that is run again after a crash first turns its own old holds into
charges, and goes on in the same accounts: it gets no new budget, a call that was really made twice costs twice, and
nothing else does. What its earlier executions used is added to the run's record once the task ends, so `run.spent`
and the run's account agree whenever no task is in the middle of something.

Not covered: what a provider bills above its own usage numbers; a reply longer than the maximum that the call stated.
"""

import asyncio
import itertools
import logging
import threading
import time
import uuid
from dataclasses import dataclass
from hashlib import sha256
from typing import TYPE_CHECKING

from guards.accounts import HOLD, Account, check, held_of, reserving, settling, spent_of
from guards.amount import NOTHING, Amount, money, of_spent
from guards.calls import Call, NotMade, Usage
from guards.errors import LimitReached, PriceUnknown
from guards.limits import Limits
from guards.prices import Price, price_of
from guards.stores import Rows, Store, StoreDown
from guards.stores.chosen import store
from state.guarded import Spent

if TYPE_CHECKING:
    from guards.attempt import Attempt
    from guards.policy import Policy
    from guards.scope import Scope

log = logging.getLogger("interlock")

LEASE_SECONDS = 60.0
"""What a hold outlives its attempt's deadline by."""

LONGEST_LEASE = 86_400.0
"""The lease of a call in an attempt without a deadline."""

RUN_KEPT = 7 * 86_400.0
HOUR_KEPT = 2 * 86_400.0
DAY_KEPT = 62 * 86_400.0
"""How long the store remembers a run after its last call, and a window after its end."""

FOREVER = 1e12
SWEEP_SECONDS = 30.0
SWEPT_AT_ONCE = 500
SETTLE_SECONDS = 2.0
FREE_OF_CHARGE_STATUS = range(400, 600)
"""An HTTP error reply is not billed; it still counts as a call."""

_numbers = itertools.count(1)
_PROCESS = uuid.uuid4().hex[:8]


@dataclass
class _Entry:
    """One call in the books: what the gate must know to settle it."""

    store: Store
    hold: str
    accounts: list[Account]
    prices: dict[str, Price | None]
    shares: "list[tuple[Attempt, Account]]"
    began: float

    @property
    def keys(self) -> list[str]:
        return [self.hold, *(account.key for account in self.accounts)]


class LedgerGate:
    """Reserves a call in the books of its run and of every run around it, and settles it there."""

    def __init__(self) -> None:
        self._entries: dict[Call, _Entry] = {}
        self._swept = float("-inf")
        self._lock = threading.Lock()

    async def enter(self, call: Call) -> None:
        """Reserve the call everywhere or nowhere.

        Raises:
            LimitReached: One of the limits would be passed.
            PriceUnknown: Money is limited and the model's price is unknown.
            StoreDown: The store does not answer.
        """
        entry = _entry(call, store())
        await self._sweep_now_and_then(entry.store)
        self._hold(entry)
        lease = time.time() + min(call.attempt.left(), LONGEST_LEASE) + LEASE_SECONDS
        try:
            rows = await entry.store.change(entry.keys, reserving(entry.hold, entry.accounts, lease))
        except BaseException as error:
            self._let_go(entry)
            if not isinstance(error, LimitReached):  # cancelled, or nobody knows what was written
                _settle(entry, dict.fromkeys(entry.keys, NOTHING))
            raise
        for link, account in entry.shares:
            link.scope.used = spent_of(rows[account.key]).plus(held_of(rows[account.key]))
        self._entries[call] = entry

    def leave(self, call: Call, error: BaseException | None, usage: Usage | None) -> None:
        """Settle with what was used; what nobody knows is charged as it was reserved."""
        entry = self._entries.pop(call, None)
        if entry is None:
            return
        if getattr(error, "status_code", None) in FREE_OF_CHARGE_STATUS:
            usage = (0, 0)
        actual = dict.fromkeys(entry.keys, NOTHING)
        if not isinstance(error, NotMade):
            tokens, seconds = usage or (call.input_tokens, call.output_tokens), time.time() - entry.began
            actual = {key: _amount(call, tokens, price, seconds) for key, price in entry.prices.items()}
        self._let_go(entry)
        for link, account in entry.shares:
            link.spent = link.spent + actual[account.key].spent()
        _settle(entry, actual)

    def _hold(self, entry: _Entry) -> None:
        """Hold the call in the attempts that make it: their own limits end with them and need no store."""
        with self._lock:
            for link, account in entry.shares:
                after = of_spent(link.spent).plus(link.held).plus(account.most)._replace(milliseconds=0)
                check(after, link.limits, "an attempt", "raise Policy(per_attempt=Limits(LIMIT=...))")
            for link, account in entry.shares:
                link.held = link.held.plus(account.most)
                link.scope.called.add(link.place)

    def _let_go(self, entry: _Entry) -> None:
        with self._lock:
            for link, account in entry.shares:
                link.held = link.held.minus(account.most)

    async def _sweep_now_and_then(self, books: Store) -> None:
        now = time.monotonic()
        if now - self._swept > SWEEP_SECONDS:
            self._swept = now
            await sweep(books)


async def earlier(scope: "Scope", place: str) -> Spent:
    """What earlier executions of a task have used; calls that they left open are charged as they were reserved.

    Args:
        scope: The run.
        place: The task, as LangGraph names it; the same name after a crash, an interrupt or a cancellation.
    """
    books, task = store(), f"task:{scope.run.id}|{place}"
    try:
        await _charge(books, await books.due(f"{HOLD}{scope.run.id}|{place}|", FOREVER, SWEPT_AT_ONCE))
        rows = await books.change([task], lambda rows: {key: row for key, row in rows.items() if row})
    except StoreDown as error:  # its calls will be refused
        log.warning("nobody knows what a task used before", extra={"error": str(error)})
        return Spent()
    return spent_of(rows.get(task)).spent()


async def settled() -> None:
    """Wait until everything that was settled is written, no longer than `SETTLE_SECONDS`."""
    try:
        await asyncio.wait_for(store().change((), dict), SETTLE_SECONDS)
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
    windows = _windows([policy], tenant, NOTHING, time.time())
    rows = await store().change([window.key for window in windows], dict)
    return [
        (name, label, allowed - used)
        for window in windows
        for limits, label, _ in window.limits
        for name, used, allowed in limits.used(spent_of(rows[window.key]).plus(held_of(rows[window.key])))
    ]


async def _charge(books: Store, holds: Rows) -> None:
    for hold, row in holds.items():
        if row is not None:
            await books.change([hold, *row["of"]], settling(hold, None))


def _settle(entry: _Entry, actual: dict[str, Amount]) -> None:
    entry.store.change_soon(entry.keys, settling(entry.hold, actual))


def _entry(call: Call, books: Store) -> _Entry:
    now, seconds = time.time(), min(call.attempt.left(), LONGEST_LEASE)
    tokens = call.input_tokens, call.output_tokens
    shares, accounts, prices = list[tuple["Attempt", Account]](), list[Account](), dict[str, Price | None]()
    chain = call.attempt.chain()
    for link in chain:
        price = _price(call, link)
        own = _accounts_of(call, link, _amount(call, tokens, price, seconds), now)
        shares.append((link, own[0]))
        accounts += own
        prices |= dict.fromkeys((account.key for account in own), price)
    shown = next((price for price in prices.values() if price is not None), None)
    tenant = call.attempt.scope.tenant
    windows = _windows([link.scope.policy for link in chain], tenant, _amount(call, tokens, shown, seconds), now)
    prices |= dict.fromkeys((window.key for window in windows), shown)
    hold = f"{HOLD}{call.attempt.scope.run.id}|{call.attempt.place}|{next(_numbers)}-{_PROCESS}"
    return _Entry(books, hold, accounts + windows, prices, shares, now)


def _accounts_of(call: Call, link: "Attempt", most: Amount, now: float) -> list[Account]:
    """The run's account, its task's, and its role's when that is limited."""
    scope, until = link.scope, _coarse(now + RUN_KEPT)
    whole = [(scope.policy.per_run, "", "raise Policy(LIMIT=...) if the run is worth it")]
    accounts = [
        Account(f"run:{scope.run.id}", most, until, scope.known, whole),
        Account(f"task:{scope.run.id}|{link.place}", most, until),
    ]
    role = call.role or link.node
    if (limits := scope.policy.per_role.get(role)) is not None:
        cure = f"raise Policy(per_role={{'{role}': Limits(LIMIT=...)}})"
        accounts.append(Account(f"role:{scope.run.id}|{role}", most, until, limits=[(limits, f"for '{role}'", cure)]))
    return accounts


def _windows(policies: "list[Policy]", tenant: str, most: Amount, now: float) -> list[Account]:
    """The accounts that all runs of the store share."""
    hour, day = int(now // 3600), int(now // 86400)
    next_hour, next_day = (hour + 1) * 3600.0, (day + 1) * 86400.0
    windows = [
        _window(f"hour:{hour}", most, next_hour, HOUR_KEPT, "an hour", "per_hour", policies),
        _window(f"day:{day}", most, next_day, DAY_KEPT, "a day", "per_day", policies),
    ]
    if tenant or any(policy.per_tenant.on for policy in policies):
        key = f"tenant:{sha256(tenant.encode()).hexdigest()[:32]}:{day}"  # a tenant's name may be somebody's address
        windows.append(_window(key, most, next_day, DAY_KEPT, "a day for this tenant", "per_tenant", policies))
    return windows


def _window(
    key: str, most: Amount, end: float, kept: float, label: str, field: str, policies: "list[Policy]"
) -> Account:
    until = time.strftime("%H:%M UTC", time.gmtime(end))
    cure = f"wait until {until}, or raise Policy({field}=Limits(LIMIT=...))"
    limits = [(limits, label, cure) for policy in policies if (limits := getattr(policy, field)).on]
    return Account(key, most, end + kept, limits=limits)


def _price(call: Call, link: "Attempt") -> Price | None:
    if call.kind == "tool":
        return None
    policy = link.scope.policy
    price = price_of(call.name, policy.prices, call.price)
    role = policy.per_role.get(call.role or link.node, Limits())
    limited = (policy.per_run, link.limits, role, policy.per_hour, policy.per_day, policy.per_tenant)
    if price is None and any(limits.dollars is not None for limits in limited):
        raise PriceUnknown(call.name)
    return price


def _amount(call: Call, tokens: Usage, price: Price | None, seconds: float) -> Amount:
    milliseconds = int(seconds * 1000)
    if call.kind == "tool":
        return Amount(tool_calls=1, milliseconds=milliseconds)
    return Amount(1, *tokens, money(tokens, price or (0.0, 0.0)), 0, milliseconds)


def _coarse(until: float) -> float:
    """The same for all calls of an hour: a row that keeps its `until` keeps its place in the store's index."""
    return (until // 3600 + 1) * 3600
