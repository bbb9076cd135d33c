"""Rate gate: calls wait for room in their provider's limits, first come, first served, or are refused at once.

Unit: requests and tokens a minute, a provider key. What counts: every model call, with the tokens that it may take
until it is known what it took. At the limit: a call that has no room before its attempt's deadline, those before it
included, is refused at once (`RateLimited`, transient: the node tries again after the stated wait where that fits into
its time); any other waits. Among the waiters of one process the order is that of their coming; between processes who
looks first goes first, and everybody looks at least every `LOOK_SECONDS`. Source of the rule: guide, I3.
"""

import time
from collections import defaultdict
from collections.abc import Callable, Mapping

from guards.calls.calls import Call, NotMade, Usage, strictest
from guards.calls.line import Line, Place
from guards.calls.rate import Ask, Rate, Turn, corrected, speaks, taken, told, turn
from guards.errors import RateLimited
from guards.running.retry import status_of
from guards.stores import Rows, Store

PREFIX = "rate:"
LOOK_SECONDS = 1.0
"""How often the first waiter looks whether another process gave something back, and a process without limits of its own
whether the provider told another one to wait."""

NOTHING = Ask(0, 0)


class RateGate:
    """Holds model calls to `Policy.requests_per_minute`, `Policy.tokens_per_minute` and what providers say.

    Args:
        store: Gives the store.
        clock: Seconds since the epoch; several processes must agree on it.
    """

    def __init__(self, store: Callable[[], Store], clock: Callable[[], float] = time.time) -> None:
        self._store = store
        self._clock = clock
        self._lines: defaultdict[str, Line[Ask]] = defaultdict(Line)
        self._looked: dict[str, float] = {}
        self._spoke: set[str] = set()
        self._taken: dict[Call, tuple[Ask, float]] = {}

    async def enter(self, call: Call) -> None:
        """Wait for room.

        Raises:
            RateLimited: There is none before the deadline.
        """
        if call.kind != "model":
            return
        rate = Rate(strictest(call, "requests_per_minute"), strictest(call, "tokens_per_minute"))
        if rate == Rate() and self._is_quiet(call.provider):
            return
        tokens = call.input_tokens + call.output_tokens
        ask = Ask(1, tokens if rate.tokens is None else min(tokens, rate.tokens))
        line, end = self._lines[call.provider], self._clock() + call.attempt.left()
        place = line.join(ask)
        try:
            if rate == Rate() and await self._falls_quiet(call.provider, place, end):
                return
            self._taken[call] = ask, await self._pass(call.provider, place, rate, end)
        finally:
            line.leave(place)

    def leave(self, call: Call, error: BaseException | None, usage: Usage | None) -> None:
        """Put what was used in the place of what was reserved, and hear what the provider said."""
        if call.kind != "model":
            return
        self.hear(call.provider, call.headers or _headers(error), status_of(call.outcome or error) or 0)
        if call not in self._taken:
            return
        ask, at = self._taken.pop(call)
        used = NOTHING if isinstance(error, NotMade) else ask if usage is None else Ask(1, sum(usage))
        if used != ask:
            key, now = PREFIX + call.provider, self._clock()
            self._store().change_soon([key], lambda rows: {key: corrected(rows[key], ask, at, used, now)})
            self._lines[call.provider].call_first()

    def hear(self, provider: str, headers: Mapping[str, str], status: int) -> None:
        """Obey what a provider's reply says of its limits.

        Args:
            provider: As `provider_key` names it.
            headers: The reply's, by lower-case name.
            status: The reply's HTTP status.
        """
        key, now = PREFIX + provider, self._clock()
        if not headers or told(None, headers, now, status) is None:
            return
        self._spoke.add(provider)
        self._store().change_soon([key], lambda rows: {key: told(rows[key], headers, now, status)})
        self._lines[provider].call_all()

    async def _falls_quiet(self, provider: str, place: Place[Ask], end: float) -> bool:
        """Wait while the first in line looks for everybody; whether it found nothing that one must wait for."""
        line = self._lines[provider]
        while not line.is_first(place) and provider not in self._spoke and (left := end - self._clock()) > 0:
            if self._is_quiet(provider):
                return True
            await place.wait(left)
        return self._is_quiet(provider)

    async def _pass(self, provider: str, place: Place[Ask], rate: Rate, end: float) -> float:
        """Wait until there is room; when it was taken, in seconds since the epoch."""
        line = self._lines[provider]
        while True:
            ahead, now = line.ahead(place), self._clock()
            found = await self._look(provider, sum(ahead, place.need), rate, now, first=not ahead)
            if not ahead and found.at <= now:
                return now
            if found.at > end:
                raise RateLimited(f"provider {provider.partition('#')[0]}", found.why, found.at - now)
            await place.wait(min(found.at - now, LOOK_SECONDS) if not ahead else end - now)

    async def _look(self, provider: str, ask: Ask, rate: Rate, now: float, first: bool) -> Turn:
        """When there is room; the first in line takes it if that is now."""
        key, found = PREFIX + provider, Turn(now)

        def decide(rows: Rows) -> Rows:
            nonlocal found
            row, found = rows[key], turn(rows[key], ask, now, rate)
            self._note(provider, now, speaks(row, now))
            return {key: taken(row, ask, now)} if first and found.at <= now else {}

        await self._store().change([key], decide)
        return found

    def _note(self, provider: str, now: float, spoke: bool) -> None:
        """What a look found; everybody in line hears of a provider that begins to ask for something."""
        self._looked[provider] = now
        if spoke and provider not in self._spoke:
            self._spoke.add(provider)
            self._lines[provider].call_all()
        elif not spoke:
            self._spoke.discard(provider)

    def _is_quiet(self, provider: str) -> bool:
        """Whether this process knows that the provider has not asked for anything lately."""
        looked = self._looked.get(provider, float("-inf"))
        return provider not in self._spoke and 0 <= self._clock() - looked < LOOK_SECONDS


def _headers(error: BaseException | None) -> Mapping[str, str]:
    """What came with a refusal, as far as its error tells."""
    found = getattr(getattr(error, "response", None), "headers", None)
    seconds = getattr(error, "retry_after", None)
    return found or ({} if seconds is None else {"retry-after": f"{seconds:f}"})
