"""Breaker: a model, tool or source that keeps failing is not asked for a while. The state machine; pure functions.

Closed: calls pass, and the outcomes of the last ones are kept from the first failure on. Open: no call passes.
Half-open: when the time is over `probes` calls pass, and decide. A probe holds a lease, so that one whose process was
killed does not keep the circuit half-open for ever.
"""

from dataclasses import dataclass
from typing import Any, Literal

from guards.errors import CircuitOpen

Row = dict[str, Any]
Verdict = Literal["ok", "failed", "unknown"]

MEMORY_SECONDS = 600.0
"""How long outcomes count when nothing new is heard."""

LEASE_SECONDS = 120.0
"""The longest that a probe may take; then another one may be sent."""

SKEW_SECONDS = 5.0
"""How far the clocks of several machines may be apart."""


@dataclass(frozen=True, kw_only=True)
class Breaker:
    """When a circuit opens and closes (guide: C5). The same for every model, tool and source.

    Attributes:
        failures: Failures in a row that open it.
        rate: Share of failures among the last `window` calls that opens it, 0 to 1.
        window: How many calls the share is taken of; counting begins with the first failure.
        least: With fewer calls than this the share says nothing.
        seconds: How long it stays open before a probe.
        probes: Calls that are let through when half-open; all of them must succeed to close it.
        slow: A call that our own time-out cuts off is a failure from this many seconds on, or from half of what its
            attempt was given; before that the time went elsewhere.

    Raises:
        ValueError: A number is out of its range.
    """

    failures: int = 5
    rate: float = 0.5
    window: int = 20
    least: int = 10
    seconds: float = 30.0
    probes: int = 1
    slow: float = 5.0

    def __post_init__(self) -> None:
        for name in ("failures", "rate", "window", "least", "seconds", "probes", "slow"):
            if not getattr(self, name) > 0:
                raise ValueError(f"Breaker({name}={getattr(self, name)!r}): must be more than 0")
        if self.rate > 1:
            raise ValueError(f"Breaker(rate={self.rate!r}): a share is at most 1")
        if self.window < max(self.least, self.failures):
            raise ValueError(f"Breaker(window={self.window!r}): must hold `failures` and `least` calls")


def admitted(row: Row | None, what: str, ticket: str, now: float, lease: float, limits: Breaker) -> Row | None:
    """Let one call through; it is a probe when its ticket is among the row's probes afterwards.

    Args:
        row: The circuit as it is; None: nothing but successes is known.
        what: What is called, for the error.
        ticket: Names this call.
        now: Seconds since the epoch, as several processes tell them.
        lease: Seconds that the call may take.
        limits: The thresholds.

    Raises:
        CircuitOpen: No call may be made now.
    """
    if row is None or not row["open"]:
        return row
    probes = {ticket: end for ticket, end in row["probes"].items() if now < end <= now + LEASE_SECONDS}
    wait = row["opened"] + row["seconds"] - now
    if wait > row["seconds"] + SKEW_SECONDS:
        wait = 0.0  # the clock was set back; that keeps nothing shut
    if wait > 0 or len(probes) + row["passed"] >= limits.probes:
        raise CircuitOpen(what, row["why"], max(0.0, wait))
    return {**row, "probes": {**probes, ticket: now + min(lease, LEASE_SECONDS)}}


def noted(row: Row | None, verdict: Verdict, ticket: str, now: float, limits: Breaker) -> Row | None:
    """The circuit after a call has ended; None when nothing but successes is known."""
    if row is not None and row["open"]:
        return _probed(row, verdict, ticket, now, limits)
    if verdict == "unknown":
        return row
    known = row["recent"] if row is not None and -SKEW_SECONDS <= now - row["at"] < MEMORY_SECONDS else ""
    recent = (known + ("-" if verdict == "failed" else "+"))[-limits.window :]
    if "-" not in recent:
        return None
    why = _too_many(recent, limits) if verdict == "failed" else ""
    if why:
        return _opened(why, now, limits)
    return {"open": False, "recent": recent, "at": now, "until": now + MEMORY_SECONDS}


def _probed(row: Row, verdict: Verdict, ticket: str, now: float, limits: Breaker) -> Row | None:
    """What a probe says decides; calls that began before the circuit opened say nothing new."""
    if ticket not in row["probes"]:
        return row
    if verdict == "failed":
        return _opened(row["why"], now, limits)
    probes = {other: end for other, end in row["probes"].items() if other != ticket}
    passed = row["passed"] + (verdict == "ok")
    return None if passed >= limits.probes else {**row, "probes": probes, "passed": passed}


def _opened(why: str, now: float, limits: Breaker) -> Row:
    until = now + limits.seconds + MEMORY_SECONDS
    return {
        "open": True,
        "why": why,
        "opened": now,
        "seconds": limits.seconds,
        "probes": {},
        "passed": 0,
        "until": until,
    }


def _too_many(recent: str, limits: Breaker) -> str:
    """Why the circuit opens, in words; empty when it does not."""
    if recent.endswith("-" * limits.failures):
        return f"{limits.failures} failures in a row"
    failed = recent.count("-")
    if len(recent) >= limits.least and failed >= limits.rate * len(recent):
        return f"{failed} of {len(recent)} calls failed"
    return ""
