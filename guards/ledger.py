"""Ledger: what a run may still spend. Reserved before a call, settled after it, charged when nobody knows.

Because the reservation comes first, the sum of what is used and held never passes a limit, at any fan-out.
What is not covered here: a store that several processes share.
"""

import threading
from dataclasses import dataclass, field

from guards.errors import LimitReached
from guards.policy import Policy
from state.guarded import Spent


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
    )
