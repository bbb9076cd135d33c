"""Ledger: what a run may still spend. Reserved before a call, settled after it, charged when nobody knows.

Because the reservation comes first, the sum of what is used and held never passes a limit, at any fan-out.
What is not covered here: a store that several processes share.
"""

import threading
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from guards.calls import Call, NotMade, Usage
from guards.errors import LimitReached, Permanent, PriceUnknown
from guards.policy import Policy
from guards.prices import Price, price_of
from state.guarded import Spent

if TYPE_CHECKING:
    from guards.attempt import Attempt


@dataclass
class Hold:
    """One call in flight with what is set aside for it."""

    reserved: Spent
    open: bool = True


@dataclass
class Ledger:
    """The books of one run; safe with several event loops and threads.

    Attributes:
        policy: Where the limits come from: `calls`, `tokens`, `dollars`.
        spent: What is settled.
        held: What calls in flight may still use.
    """

    policy: Policy
    spent: Spent = Spent()
    held: Spent = Spent()
    _lock: threading.Lock = field(default_factory=threading.Lock, repr=False)

    def reserve(self, most: Spent) -> Hold:
        """Set aside the most that a call can use.

        Raises:
            LimitReached: The call could pass a limit; it must not be made.
        """
        with self._lock:
            after = self.spent + self.held + most
            self._check("calls", after.calls, self.policy.calls)
            self._check("tokens", after.input_tokens + after.output_tokens, self.policy.tokens)
            self._check("input_tokens", after.input_tokens, self.policy.input_tokens)
            self._check("output_tokens", after.output_tokens, self.policy.output_tokens)
            self._check("tool_calls", after.tool_calls, self.policy.tool_calls)
            self._check("dollars", after.dollars, self.policy.dollars)
            self.held = self.held + most
            return Hold(most)

    def settle(self, hold: Hold, actual: Spent) -> bool:
        """Replace a hold by what the call really used; False when the hold was closed before."""
        with self._lock:
            if not hold.open:
                return False
            hold.open = False
            self.held = _minus(self.held, hold.reserved)
            self.spent = self.spent + actual
            return True

    def catch_up(self, known: Spent) -> None:
        """Take over what the state knows when it knows more: the run went on in another process meanwhile."""
        if known.calls > self.spent.calls:
            with self._lock:
                self.spent = known

    def _check(self, limit: str, after: float, allowed: float | None) -> None:
        if allowed is not None and after > allowed * (1 + 1e-9):
            raise LimitReached(limit, after, allowed)


def _minus(held: Spent, less: Spent) -> Spent:
    return Spent(
        calls=held.calls - less.calls,
        input_tokens=held.input_tokens - less.input_tokens,
        output_tokens=held.output_tokens - less.output_tokens,
        dollars=max(0.0, held.dollars - less.dollars),
        tool_calls=held.tool_calls - less.tool_calls,
    )


FREE_OF_CHARGE_STATUS = range(400, 600)
"""An HTTP error reply is not billed; it still counts as a call."""


class LedgerGate:
    """Reserves a call in the books of its run and of every run around it, and settles it there."""

    async def enter(self, call: Call) -> None:
        """Reserve the call everywhere or nowhere.

        Raises:
            LimitReached: One of the limits would be passed.
            PriceUnknown: Money is limited and the model's price is unknown.
        """
        taken: list[tuple[Attempt, Hold, Price | None]] = []
        try:
            for link in call.attempt.chain():
                price = _price(call, link.scope.policy)
                most = _cost(call, (call.input_tokens, call.output_tokens), price)
                taken.append((link, link.scope.ledger.reserve(most), price))
        except Permanent:
            for link, hold, _ in taken:
                link.scope.ledger.settle(hold, Spent())
            raise
        self._holds[id(call)] = taken

    def __init__(self) -> None:
        self._holds: dict[int, list[tuple[Attempt, Hold, Price | None]]] = {}

    def leave(self, call: Call, error: BaseException | None, usage: Usage | None) -> None:
        """Settle with what was used; what nobody knows is charged as it was reserved."""
        if getattr(error, "status_code", None) in FREE_OF_CHARGE_STATUS:
            usage = (0, 0)
        for link, hold, price in self._holds.pop(id(call), ()):
            actual = hold.reserved if usage is None else _cost(call, usage, price)
            actual = Spent() if isinstance(error, NotMade) else actual
            if link.scope.ledger.settle(hold, actual):
                link.spent = link.spent + actual


def _price(call: Call, policy: Policy) -> Price | None:
    if call.kind == "tool":
        return None
    price = price_of(call.name, policy.prices, call.price)
    if price is None and policy.dollars is not None:
        raise PriceUnknown(call.name)
    return price


def _cost(call: Call, usage: Usage, price: Price | None) -> Spent:
    if call.kind == "tool":
        return Spent(tool_calls=1)
    per_input, per_output = price or (0.0, 0.0)
    dollars = (usage[0] * per_input + usage[1] * per_output) / 1_000_000
    return Spent(calls=1, input_tokens=usage[0], output_tokens=usage[1], dollars=dollars)
