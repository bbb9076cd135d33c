"""Most: the largest amount that something can take; None where nothing bounds it."""

from collections.abc import Iterable
from typing import Any, NamedTuple

from guards.ledger.limits import Limits
from guards.ledger.prices import Price

Count = int | None
Money = float | None


class Most(NamedTuple):
    """Calls, tokens, money in USD and tool calls. None: no bound of its own."""

    calls: Count = None
    input_tokens: Count = None
    output_tokens: Count = None
    tokens: Count = None
    dollars: Money = None
    tool_calls: Count = None

    def times(self, count: Count) -> "Most":
        """That often; nothing stays nothing however often."""
        return Most._make(_product(one, count) for one in self)

    def plus(self, more: "Most") -> "Most":
        """Both."""
        return Most._make(None if a is None or b is None else a + b for a, b in zip(self, more, strict=True))

    def either(self, other: "Most") -> "Most":
        """One of the two, whichever is more."""
        return Most._make(None if a is None or b is None else max(a, b) for a, b in zip(self, other, strict=True))

    def within(self, limits: Limits, price: Price | None = None) -> "Most":
        """As much of it as limits allow, and what it costs at most at a price per million (input, output) tokens."""
        found = Most(*(least([one, getattr(limits, name)]) for name, one in zip(self._fields, self, strict=True)))
        if found.calls == 0:
            return NONE._replace(tool_calls=found.tool_calls)
        into, out = found.input_tokens, found.output_tokens
        tokens = least([found.tokens, None if into is None or out is None else into + out])
        found = found._replace(
            input_tokens=least([into, tokens]),
            output_tokens=least([out, tokens]),
            tokens=tokens,
        )
        return found._replace(dollars=least([found.dollars, _cost(found, price)]))


NONE = Most(0, 0, 0, 0, 0.0, 0)
UNKNOWN = Most()


def total(several: Iterable[Most]) -> Most:
    """All of them."""
    found = NONE
    for one in several:
        found = found.plus(one)
    return found


def least(values: Iterable[Any]) -> Any:
    """The lowest of those that are known; None when none is."""
    return min((value for value in values if value is not None), default=None)


def _product(one: Any, count: Count) -> Any:
    if one == 0 or count == 0:
        return 0
    return None if one is None or count is None else one * count


def _cost(most: Most, price: Price | None) -> Money:
    """The dearer kind of token makes up as much of the sum as it may."""
    if price is None or most.tokens is None or most.input_tokens is None or most.output_tokens is None:
        return None
    dear, cheap = (1, 0) if price[1] >= price[0] else (0, 1)
    many = (most.input_tokens, most.output_tokens)[dear]
    few = min((most.input_tokens, most.output_tokens)[cheap], most.tokens - many)
    return (many * price[dear] + few * price[cheap]) / 1_000_000 + (most.calls or 0) / 1_000_000_000
