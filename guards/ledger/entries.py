"""Entries: which accounts a call counts in, and how much it can add to each.

The run and every run around it, the task and the role in each; the clock hour, the day and the tenant's day over all
runs of the store.
"""

import time
import uuid
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import lru_cache
from hashlib import sha256
from typing import TYPE_CHECKING

from guards.calls.calls import Call, Usage
from guards.errors import PriceUnknown
from guards.ledger.accounts import HOLD, Account, Held
from guards.ledger.amount import Amount, money
from guards.ledger.limits import Limits
from guards.ledger.prices import Price, price_of
from guards.stores import Store

if TYPE_CHECKING:
    from guards.policy import Policy
    from guards.running.attempt import Attempt

LONGEST_LEASE = 86_400.0
"""The lease of a call in an attempt without a deadline."""

RUN_KEPT = 7 * 86_400.0
HOUR_KEPT = 2 * 86_400.0
DAY_KEPT = 62 * 86_400.0
"""How long the store remembers a run after its last call, and a window after its end."""


@dataclass(eq=False)
class Entry:
    """One call in the books: what the gate must know to settle it."""

    store: Store
    hold: str
    accounts: list[Account]
    shares: "list[tuple[Attempt, Account]]"
    began: float

    def __post_init__(self) -> None:
        self.keys = [self.hold, *(account.key for account in self.accounts)]


def entry_of(call: Call, books: Store) -> Entry:
    """What a call that is about to be made can add to which accounts.

    Raises:
        PriceUnknown: Money is limited somewhere and the model's price is unknown.
    """
    now, shares, accounts = time.time(), list[tuple["Attempt", Account]](), list[Account]()
    chain, seconds = call.attempt.chain(), min(call.attempt.left(), LONGEST_LEASE)
    for link in chain:
        own = _accounts_of(call, link, seconds, now)
        shares.append((link, own[0]))
        accounts += own
    price = next((account.price for account in accounts if account.price is not None), None)
    most = _most(call, price, seconds)
    accounts += windows_of([link.scope.policy for link in chain], call.attempt.scope.tenant, most, price, now)
    return Entry(books, hold_prefix(chain) + uuid.uuid4().hex[:16], accounts, shares, now)


def hold_prefix(chain: "Sequence[Attempt]") -> str:
    """What the names of a task's holds begin with, those of its sub-agents included."""
    return HOLD + "".join(f"{link.scope.run.id}|{link.place}|" for link in reversed(chain))


def _accounts_of(call: Call, link: "Attempt", seconds: float, now: float) -> list[Account]:
    """The run's account, its task's, and its role's when that is limited."""
    scope, until, price = link.scope, _coarse(now + RUN_KEPT), _price(call, link)
    most = _most(call, price, seconds)
    whole = [Held(scope.policy.per_run, "", "raise Policy(LIMIT=...) if the run is worth it")]
    accounts = [
        Account(f"run:{scope.run.id}", most, price, until, scope.known, whole),
        Account(f"task:{scope.run.id}|{link.place}", most, price, until),
    ]
    role = call.role or link.node
    if (limits := scope.policy.per_role.get(role)) is not None:
        held = Held(limits, f"for '{role}'", f"raise Policy(per_role={{'{role}': Limits(LIMIT=...)}})")
        accounts.append(Account(f"role:{scope.run.id}|{role}", most, price, until, limits=[held]))
    return accounts


def windows_of(
    policies: "list[Policy]", tenant: str, most: Amount, price: Price | None, now: float
) -> Iterator[Account]:
    """The accounts that all runs of the store share."""
    hour, day = int(now // 3600), int(now // 86400)
    next_hour, next_day = (hour + 1) * 3600.0, (day + 1) * 86400.0
    limits = _held(policies, "per_hour", "an hour", next_hour)
    yield Account(f"hour:{hour}", most, price, next_hour + HOUR_KEPT, limits=limits)
    limits = _held(policies, "per_day", "a day", next_day)
    yield Account(f"day:{day}", most, price, next_day + DAY_KEPT, limits=limits)
    limits = _held(policies, "per_tenant", "a day for this tenant", next_day)
    if tenant or limits:
        yield Account(f"tenant:{_hidden(tenant)}:{day}", most, price, next_day + DAY_KEPT, limits=limits)


def _held(policies: "list[Policy]", field: str, window: str, end: float) -> list[Held]:
    cure = f"wait until TIME, or raise Policy({field}=Limits(LIMIT=...))"
    return [Held(limits, window, cure, end) for policy in policies if (limits := getattr(policy, field)).on]


@lru_cache(maxsize=256)
def _hidden(tenant: str) -> str:
    """A tenant's name may be somebody's address."""
    return sha256(tenant.encode()).hexdigest()[:32]


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


def _most(call: Call, price: Price | None, seconds: float) -> Amount:
    return _amount(call, (call.input_tokens, call.output_tokens), price, seconds)


def actual_of(call: Call, entry: Entry, usage: Usage | None) -> dict[str, Amount]:
    """What a call has used, by account; what nobody knows is what was reserved."""
    tokens, seconds = usage or (call.input_tokens, call.output_tokens), max(0.0, time.time() - entry.began)
    of_price = {price: _amount(call, tokens, price, seconds) for price in {a.price for a in entry.accounts}}
    return {account.key: of_price[account.price] for account in entry.accounts}


def _amount(call: Call, tokens: Usage, price: Price | None, seconds: float) -> Amount:
    milliseconds = int(seconds * 1000)
    if call.kind == "tool":
        return Amount(tool_calls=1, milliseconds=milliseconds)
    return Amount(1, *tokens, money(tokens, price) if price else 0, 0, milliseconds)


def _coarse(until: float) -> float:
    """The same for all calls of an hour: a row that keeps its `until` keeps its place in the store's index."""
    return (until // 3600 + 1) * 3600
