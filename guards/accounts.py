"""Accounts: the sums that a call counts in, as rows of the store, and what reserving and settling make of them.

An account is `{spent, held}`; a hold is `{of: {account: amount}, until}`. Everything here is a pure function of rows.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

from guards.amount import NOTHING, Amount
from guards.errors import LimitReached
from guards.limits import Limits
from guards.stores import Row, Rows

HOLD = "hold:"


@dataclass
class Account:
    """One sum that a call counts in.

    Attributes:
        key: Its row.
        most: What the call may add to it at most.
        until: When its history may go, in seconds since the epoch.
        known: What the run's record says is spent already; more than the row's when the run went on elsewhere.
        limits: What holds it, each with its name for the error and the cure, in which LIMIT stands for the limit.
    """

    key: str
    most: Amount
    until: float
    known: Amount = NOTHING
    limits: list[tuple[Limits, str, str]] = field(default_factory=list)


def reserving(hold: str, accounts: list[Account], lease: float) -> Callable[[Rows], Rows]:
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


def check(after: Amount, limits: Limits, window: str, cure: str) -> None:
    """Raise `LimitReached` when an amount passes a limit."""
    if (passed := limits.passed(after)) is not None:
        name, used, allowed = passed
        raise LimitReached(name, used, allowed, cure.replace("LIMIT", name), window)


def spent_of(row: Row | None) -> Amount:
    """What is settled in an account."""
    return NOTHING if row is None else Amount(*row["spent"])


def held_of(row: Row | None) -> Amount:
    """What calls in flight may still use of it."""
    return NOTHING if row is None else Amount(*row["held"])


def _with(account: Account, row: Row | None) -> Row:
    spent, held = spent_of(row).at_least(account.known), held_of(row).plus(account.most)
    for limits, window, cure in account.limits:
        check(spent.plus(held), limits, window, cure)
    return {"spent": spent, "held": held, "until": account.until}
