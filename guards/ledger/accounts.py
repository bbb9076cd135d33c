"""Accounts: the sums that a call counts in, as rows of the store, and what reserving and settling make of them.

An account is `{spent, held}`; a hold is `{of: {account: amount}, until}`. Everything here is a pure function of rows.
"""

import time
from collections.abc import Callable, Mapping, Sequence
from typing import NamedTuple

from guards.errors import LimitReached
from guards.ledger.amount import NOTHING, Amount
from guards.ledger.limits import Limits
from guards.ledger.prices import Price
from guards.stores import Row, Rows

HOLD = "hold:"


class Held(NamedTuple):
    """A limit on an account.

    Attributes:
        limits: What is allowed.
        window: Whose it is, for the error.
        cure: What to do when it is reached; LIMIT stands for the limit, TIME for the end of the window.
        end: The end of the window, in seconds since the epoch.
    """

    limits: Limits
    window: str = ""
    cure: str = ""
    end: float = 0.0

    def check(self, after: Amount) -> None:
        """Raise `LimitReached` when an amount passes it."""
        if (passed := self.limits.passed(after)) is not None:
            name, used, allowed = passed
            at = time.strftime("%H:%M UTC", time.gmtime(self.end))
            raise LimitReached(name, used, allowed, self.cure.replace("LIMIT", name).replace("TIME", at), self.window)


class Account(NamedTuple):
    """One sum that a call counts in.

    Attributes:
        key: Its row.
        most: What the call may add to it at most.
        price: What a token costs there.
        until: When its history may go, in seconds since the epoch.
        known: What the run's record says is spent already; more than the row's when the run went on elsewhere.
        limits: What holds it.
    """

    key: str
    most: Amount
    price: Price | None
    until: float
    known: Amount = NOTHING
    limits: Sequence[Held] = ()


def reserving(hold: str, accounts: Sequence[Account], lease: float) -> Callable[[Rows], Rows]:
    """Set the call's most aside in every account, or in none.

    Raises:
        LimitReached: A limit would be passed.
    """

    def decide(rows: Rows) -> Rows:
        written = {account.key: _with(account, rows[account.key]) for account in accounts}
        return {**written, hold: {"of": {account.key: account.most for account in accounts}, "until": lease}}

    return decide


def settling(hold: str, actual: Mapping[str, Amount] | None) -> Callable[[Rows], Rows]:
    """Put what was used in the place of a hold; None: what was reserved. A hold that is gone was settled before."""

    def decide(rows: Rows) -> Rows:
        found = rows[hold]
        if found is None:
            return {}
        written: dict[str, Row | None] = {hold: None}
        for key, most in found["of"].items():
            if (row := rows[key]) is not None:
                used = most if actual is None else actual[key]
                written[key] = row | {"spent": spent_of(row).plus(used), "held": held_of(row).minus(most)}
        return written

    return decide


def spent_of(row: Row | None) -> Amount:
    """What is settled in an account."""
    return NOTHING if row is None else Amount(*row["spent"])


def held_of(row: Row | None) -> Amount:
    """What calls in flight may still use of it."""
    return NOTHING if row is None else Amount(*row["held"])


def _with(account: Account, row: Row | None) -> Row:
    spent, held = spent_of(row).at_least(account.known), held_of(row).plus(account.most)
    for limit in account.limits:
        limit.check(spent.plus(held))
    return {"spent": spent, "held": held, "until": account.until}
