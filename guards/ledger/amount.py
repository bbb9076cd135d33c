"""Amount: what is used or set aside, in whole units, so that sums stay exact whatever is added and taken back."""

import math
from collections.abc import Sequence
from typing import NamedTuple

from state.guarded import Spent

NANO = 1_000_000_000


class Amount(NamedTuple):
    """Counts, tokens, money in billionths of a dollar, time in milliseconds."""

    calls: int = 0
    input_tokens: int = 0
    output_tokens: int = 0
    nanodollars: int = 0
    tool_calls: int = 0
    milliseconds: int = 0

    def plus(self, more: Sequence[int]) -> "Amount":
        """The sum."""
        a, b, c, d, e, f = self
        g, h, i, j, k, m = more
        return Amount(a + g, b + h, c + i, d + j, e + k, f + m)

    def minus(self, less: Sequence[int]) -> "Amount":
        """The difference."""
        a, b, c, d, e, f = self
        g, h, i, j, k, m = less
        return Amount(a - g, b - h, c - i, d - j, e - k, f - m)

    def at_least(self, other: "Amount") -> "Amount":
        """The larger of both, unit by unit."""
        return Amount(*map(max, self, other)) if other is not NOTHING else self

    def spent(self) -> Spent:
        """As the run's record tells it; there `seconds` is the time since the run began, not this time."""
        return Spent(
            calls=self.calls,
            input_tokens=self.input_tokens,
            output_tokens=self.output_tokens,
            dollars=self.nanodollars / NANO,
            tool_calls=self.tool_calls,
        )


NOTHING = Amount()


def of_spent(spent: Spent) -> Amount:
    """What a run's record tells, without its time."""
    nanodollars = round(spent.dollars * NANO)
    return Amount(spent.calls, spent.input_tokens, spent.output_tokens, nanodollars, spent.tool_calls)


def money(tokens: tuple[int, int], price: tuple[float, float]) -> int:
    """What (input, output) tokens cost at (input, output) USD per million, in billionths, rounded up."""
    return math.ceil(round(tokens[0] * price[0] * 1000 + tokens[1] * price[1] * 1000, 3))
