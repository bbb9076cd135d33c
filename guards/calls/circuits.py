"""Circuits: the breakers at work. One for each model, tool and source; its row in the store is everybody's.

Unit: outcomes of calls. What counts as a failure: time-outs, 5xx and 408, resets, replies in no known form. Any other
answer shows that somebody is there (429 belongs to the rate limit); refusals and cancellations of ours say nothing. At
the limit: `CircuitOpen`, which no node tries again, so its fallback is taken at once. Source of the rule: guide, C5.
"""

import asyncio
import logging
import secrets
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

from guards.calls.breaker import LEASE_SECONDS, Breaker, Verdict, admitted, noted
from guards.calls.calls import Call, NotMade, Unreported, Usage
from guards.calls.together import Change, change_all
from guards.errors import CircuitOpen, RateLimited, TimedOut
from guards.running.attempt import Attempt, current_attempt
from guards.running.retry import is_transient, status_of
from guards.stores import Rows, Store, StoreDown
from guards.stores.chosen import STORES_KEPT, store

log = logging.getLogger("interlock")

PREFIX = "breaker:"
KNOWN_AT_MOST = 1_000
MOMENT = 0.05
"""An end so shortly before the attempt's deadline was our own time-out's."""


@dataclass(frozen=True)
class Pass:
    """What a call was let through with."""

    key: str
    ticket: str
    limits: Breaker
    troubled: bool


class Circuits:
    """The circuits of a store. What this process knows of them saves it from asking: an open one is refused at once.

    Args:
        store: Keeps them.
        clock: Seconds since the epoch; several processes must agree on it.
    """

    def __init__(self, store: Store, clock: Callable[[], float] = time.time) -> None:
        self._store = store
        self._clock = clock
        self._shut: dict[str, tuple[float, CircuitOpen]] = {}
        self._troubled: set[str] = set()

    def check(self, key: str) -> None:
        """Raise `CircuitOpen` if this process knows that the circuit is open; costs nothing."""
        until, error = self._shut.get(key, (0.0, None))
        if error is not None and (left := until - self._clock()) > 0:
            raise CircuitOpen(error.what, error.why, left)

    async def enter(self, key: str, what: str, limits: Breaker, lease: float) -> Pass:
        """Let one call through.

        Args:
            key: Names the circuit.
            what: What is called, for people.
            limits: The thresholds.
            lease: Seconds that the call may take.

        Raises:
            CircuitOpen: It must not be made.
        """
        passed: list[Pass] = []
        await change_all(self._store, [self.change(key, what, limits, lease, passed.append)])
        return passed[0]

    def change(self, key: str, what: str, limits: Breaker, lease: float, passed: Callable[[Pass], object]) -> Change:
        """The same as a change of the store; `passed` is told when the call is let through."""
        self.check(key)
        row_key, ticket, now = PREFIX + key, secrets.token_hex(6), self._clock()

        def decide(rows: Rows) -> Rows:
            self._remember(row_key, rows[row_key] is not None)
            row = admitted(rows[row_key], what, ticket, now, lease, limits)
            return {} if row is rows[row_key] else {row_key: row}

        def made(_: Rows) -> None:
            passed(Pass(row_key, ticket, limits, row_key in self._troubled))

        def failed(error: BaseException) -> None:
            if isinstance(error, CircuitOpen):
                self._shut[key] = now + error.seconds, error

        return Change([row_key], decide, made, failed)

    def note(self, passed: Pass, verdict: Verdict) -> None:
        """Say how a call ended; every call that was let through must."""
        key, now = passed.key, self._clock()
        if verdict == "failed":
            self._remember(key, True)
        elif not passed.troubled and key not in self._troubled:
            return

        def decide(rows: Rows) -> Rows:
            row = noted(rows[key], verdict, passed.ticket, now, passed.limits)
            return {} if row is rows[key] else {key: row}

        self._store.change_soon([key], decide)

    def _remember(self, key: str, troubled: bool) -> None:
        """Which circuits have failures on record: only there a success must be told."""
        if len(self._troubled) + len(self._shut) > KNOWN_AT_MOST:
            self._shut.clear()
            self._troubled.clear()
        (self._troubled.add if troubled else self._troubled.discard)(key)


def circuits() -> Circuits:
    """Those of the store that is chosen now."""
    return circuits_of(store())


def circuits_of(books: Store) -> Circuits:
    """Those of a store; what this process knows of them is kept for the last few stores."""
    keeper: Any = books
    return _circuits_of(keeper)


_circuits_of = lru_cache(maxsize=STORES_KEPT)(Circuits)


class BreakerGate:
    """Keeps calls away from a model or tool whose circuit is open, and tells the circuit how calls end."""

    def __init__(self) -> None:
        self._passed: dict[Call, tuple[Circuits, Pass]] = {}

    async def change(self, call: Call, books: Store) -> Change | None:
        """Let a call through, or refuse it.

        Raises:
            CircuitOpen: It must not be made.
        """
        limits = call.attempt.scope.policy.breaker
        if limits is None:
            return None
        found = circuits_of(books)

        def passed(one: Pass) -> None:
            self._passed[call] = found, one

        return found.change(_key(call), _what(call), limits, call.attempt.left() + 1, passed)

    def leave(self, call: Call, error: BaseException | None, usage: Usage | None) -> None:
        """Tell the circuit how it ended."""
        if call in self._passed:
            found, passed = self._passed.pop(call)
            found.note(passed, _verdict(call.attempt, error, call.began, passed.limits))


class ShutGate:
    """Stands before the gates where calls wait: what this process knows to be open is refused before it waits."""

    async def enter(self, call: Call) -> None:
        """Refuse a call whose circuit is known to be open."""
        if call.attempt.scope.policy.breaker is not None:
            circuits().check(_key(call))

    def leave(self, call: Call, error: BaseException | None, usage: Usage | None) -> None:
        """Nothing was taken."""


def verdict(error: BaseException | None) -> Verdict:
    """Whether a call's end speaks against the other side.

    An error may say it itself: `theirs` is True when the fault is on the other side, False when that side did answer.
    """
    if error is None:
        return "ok"
    theirs, status = getattr(error, "theirs", None), status_of(error)
    if theirs is None and status is not None:
        theirs = status == 408 or status >= 500
    if theirs is not None:
        return "failed" if theirs else "ok"
    ours = isinstance(error, (RateLimited, TimedOut, StoreDown))
    return "failed" if is_transient(error) and not ours else "unknown"


def _verdict(attempt: Attempt | None, error: BaseException | None, began: float, limits: Breaker) -> Verdict:
    """The same, where our own time-out may have cut the call off: that counts when the call had a fair time."""
    said: Verdict = "unknown" if isinstance(error, NotMade) else verdict(error)
    if attempt is None or error is None or status_of(error) is not None or attempt.left() > MOMENT:
        return said
    if said != "failed" and not isinstance(error, (Unreported, asyncio.CancelledError)):
        return said
    fair = min(limits.slow, attempt.seconds / 2)
    return "failed" if began and time.monotonic() - began >= fair else "unknown"


def _key(call: Call) -> str:
    return f"{_what(call)} {call.provider.partition('#')[0]}"


def _what(call: Call) -> str:
    return f"{call.kind} '{call.name}'"


@asynccontextmanager
async def watching(key: str, what: str) -> AsyncIterator[None]:
    """A breaker around a piece of work that is no call of LangChain, such as asking a source.

    Args:
        key: Names the circuit.
        what: What is asked, for people.

    Raises:
        CircuitOpen: The work must not be done.
    """
    attempt, found = current_attempt.get(), circuits()
    limits = Breaker() if attempt is None else attempt.scope.policy.breaker
    if limits is None:
        yield
        return
    left, began = LEASE_SECONDS if attempt is None else attempt.left(), time.monotonic()
    try:
        passed = await found.enter(key, what, limits, left + 1)
    except StoreDown:  # nothing is known then, and a source costs no money
        yield
        return
    try:
        yield
    except BaseException as error:
        found.note(passed, _verdict(attempt, error, began, limits))
        raise
    found.note(passed, "ok")
