"""Afford: what a run may take, told at its start, and whether the hour, the day and the tenant still allow it.

The check reserves nothing: of two runs that start at once both may start, and the ledger holds the limits as always.
"""

import asyncio
import logging
from typing import TYPE_CHECKING

from guards.errors import Refused
from guards.ledger.ledger import left
from guards.policy import Policy
from guards.stores import StoreDown
from state.guarded import Ceiling, Missing

if TYPE_CHECKING:
    from guards.worst_case.ceiling import Ceiling as Reckoned

log = logging.getLogger("interlock")

PATIENCE = 2.0
"""Seconds that the start of a run waits for the store."""

WHAT = "budget"


def recorded(found: "Reckoned") -> Ceiling:
    """A ceiling as the run's record keeps it."""
    return Ceiling(**found.most._asdict(), seconds=found.seconds)


def within(policy: Policy, most: Ceiling) -> Policy:
    """The policy with the run's limits no higher than a ceiling."""
    names = ("calls", "input_tokens", "output_tokens", "tokens", "dollars", "tool_calls")
    return policy.but(**{name: _lower(getattr(policy, name), getattr(most, name)) for name in names})


async def affordable(policy: Policy, tenant: str, most: Ceiling) -> tuple[Ceiling, tuple[Missing, ...]]:
    """The ceiling that the run may start with.

    Args:
        policy: Its limits; `when_short` says what happens when less is left than it may take.
        tenant: Who it is for.
        most: Its ceiling.

    Returns:
        The same, or with "shrink" a smaller one and what the run's record says of it.

    Raises:
        Refused: Less is left, and the policy says "refuse".
    """
    if policy.when_short == "start" or not any(one.on for one in (policy.per_hour, policy.per_day, policy.per_tenant)):
        return most, ()
    short = [(name, window, rest) for name, window, rest in await _left(policy, tenant) if _above(most, name, rest)]
    if not short:
        return most, ()
    told = "; ".join(f"up to {_figure(getattr(most, n))} {n}, {_figure(r)} left in {w}" for n, w, r in short)
    if policy.when_short == "refuse":
        cure = "wait, lower its limits, or say Policy(when_short='shrink')"
        raise Refused(f"the run may take more than is left: {told}; {cure}")
    smaller = dict[str, float]()
    for name, _, rest in short:
        smaller[name] = min(smaller.get(name, rest), max(0, rest))
    started = Missing(what=WHAT, status="ok", reason=f"started with less: {told}", optional=True)
    return most.model_copy(update=smaller), (started,)


async def _left(policy: Policy, tenant: str) -> list[tuple[str, str, float]]:
    """What the windows still allow; their seconds are those of calls, which no ceiling tells."""
    try:
        async with asyncio.timeout(PATIENCE):
            return [one for one in await left(policy, tenant) if one[0] != "seconds"]
    except (StoreDown, TimeoutError) as error:  # the ledger refuses the calls
        log.warning("nobody knows what is left of the budget", extra={"error": type(error).__name__})
        return []


def _above(most: Ceiling, name: str, rest: float) -> bool:
    value = getattr(most, name)
    return value is None or value > rest


def _lower(one: float | None, other: float | None) -> float | None:
    return min((value for value in (one, other) if value is not None), default=None)


def _figure(value: float | None) -> str:
    return "any number of" if value is None else f"{max(0, value):,.4f}".rstrip("0").rstrip(".")
