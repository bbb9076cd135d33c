"""Degrade: what a run gives up when a stated part of its money or time is used (guide: P1, "have a fallback plan").

Unit: the part of a limit of the run that is used or set aside, from 0 to 1; looked at when a node or a router begins.
At the threshold the step is taken, once, for the rest of the run and for the sub-agents that begin in it; it is in the
run's record and in its reason, so the run is at best `partial`. Not covered: what a node does between two looks; the
run's limits hold there.
"""

import math
import time
from collections.abc import Collection
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, Literal, get_args

from guards.ledger.amount import of_spent
from guards.running.current import current_attempt
from state.guarded import Missing, Run

if TYPE_CHECKING:
    from guards.policy import Policy
    from guards.running.attempt import Attempt
    from guards.running.scope import Scope

Way = Literal["cheaper model", "fewer branches", "sequential", "single agent", "extractive"]
Quantity = Literal["dollars", "tokens", "calls", "seconds"]

NOWHERE: Final[frozenset[str]] = frozenset()


@dataclass(frozen=True)
class Step:
    """One step down.

    Attributes:
        to: "cheaper model": code that asks `degraded()` names another model, as `research` does. "fewer branches": of a
            fan-out at most half its cap is sent; of named branches the first half and the required ones run.
            "sequential": nodes of one step run one after the other. "single agent": loops and debates take no further
            round, fan-outs send one. "extractive": a node that has a `fallback` takes it at once.
        at: The part of the limit, more than 0 and at most 1.
        of: The limit. Where it is off, the step is never taken.

    Raises:
        ValueError: It is no such step.
    """

    to: Way
    at: float
    of: Quantity = "dollars"

    def __post_init__(self) -> None:
        if self.to not in get_args(Way) or self.of not in get_args(Quantity):
            known = f"to= one of {', '.join(get_args(Way))}; of= one of {', '.join(get_args(Quantity))}"
            raise ValueError(f"Step({self.to!r}, of={self.of!r}): {known}")
        if not 0 < self.at <= 1:
            raise ValueError(f"Step({self.to!r}, at={self.at!r}): a part of the limit, more than 0 and at most 1")


def degraded() -> frozenset[str]:
    """The steps down that are in force where this code runs; none outside a guard."""
    return in_force(current_attempt.get())


def in_force(attempt: "Attempt | None") -> frozenset[str]:
    """Those of an attempt's run and of every run around it."""
    if attempt is None:
        return NOWHERE
    return NOWHERE.union(*(link.scope.degraded for link in attempt.chain()))


def step_down(scope: "Scope", run: Run, policy: "Policy", paused: float) -> Run:
    """Take the steps whose thresholds are reached; gives what to add to the run's record, nothing for most.

    Args:
        scope: The run as it lives here; it is told.
        run: Its record.
        policy: The steps, and the limits that they speak of.
        paused: Seconds that the run stood still.
    """
    scope.degraded.update(run.degraded)
    due = [step for step in policy.degrade if step.to not in scope.degraded and _used(step, scope, run, policy, paused)]
    taken = {step.to: step for step in reversed(due)}
    scope.degraded.update(taken)
    told = tuple(_told(step, policy) for step in reversed(taken.values()))
    return Run(degraded=tuple(step.to for step in reversed(taken.values())), missing=told)


def half(cap: int) -> int:
    """What is left of a cap when there are to be fewer branches."""
    return math.ceil(cap / 2)


def narrower(cap: int | None, steps: Collection[str]) -> int | None:
    """The cap of a fan-out under the steps that are in force."""
    if "single agent" in steps:
        return 1
    return half(cap) if cap is not None and "fewer branches" in steps else cap


def _used(step: Step, scope: "Scope", run: Run, policy: "Policy", paused: float) -> bool:
    limit = getattr(policy, step.of)
    if step.of == "seconds":
        used = time.time() - run.started - paused
    else:
        spent = scope.used.at_least(of_spent(run.spent)).spent()
        used = spent.input_tokens + spent.output_tokens if step.of == "tokens" else getattr(spent, step.of)
    return limit is not None and used >= step.at * limit


def _told(step: Step, policy: "Policy") -> Missing:
    limit = getattr(policy, step.of)
    return Missing(what="degraded", status="skipped", reason=f"{step.to} from {step.at:.0%} of {limit:g} {step.of} on")
