"""Limits: what one window of time, one role or one attempt may use at most."""

from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property

from guards.ledger.amount import NANO, Amount


@dataclass(frozen=True, kw_only=True)
class Limits:
    """Limits on one sum. `None` means off.

    Attributes:
        calls: Model calls, every HTTP attempt counted.
        input_tokens: Tokens sent.
        output_tokens: Tokens received.
        tokens: Both together.
        dollars: Money, USD.
        tool_calls: Calls of LangChain tools.
        seconds: Wall seconds of model and tool calls, added up; of an attempt, its own wall seconds.

    Raises:
        ValueError: A limit is negative.
    """

    calls: int | None = None
    input_tokens: int | None = None
    output_tokens: int | None = None
    tokens: int | None = None
    dollars: float | None = None
    tool_calls: int | None = None
    seconds: float | None = None

    def __post_init__(self) -> None:
        for name, value in self.on:
            if not value >= 0:
                raise ValueError(f"Limits({name}={value!r}): must not be negative; None is off")

    @cached_property
    def on(self) -> tuple[tuple[str, float], ...]:
        """The limits that are on, by name."""
        return tuple((name, value) for name in _USED if (value := getattr(self, name)) is not None)

    def passed(self, after: Amount) -> tuple[str, float, float] | None:
        """The first limit that an amount passes, as its name, the amount in its unit, and what is allowed."""
        passed = (found for found in self.used(after) if found[1] > found[2] * (1 + 1e-12))
        return next(passed, None) if self.on else None

    def used(self, amount: Amount) -> list[tuple[str, float, float]]:
        """By limit that is on: its name, what an amount uses of it, and what is allowed."""
        return [(name, _USED[name](amount), allowed) for name, allowed in self.on]


_USED: dict[str, Callable[[Amount], float]] = {
    "calls": lambda amount: amount.calls,
    "tokens": lambda amount: amount.input_tokens + amount.output_tokens,
    "input_tokens": lambda amount: amount.input_tokens,
    "output_tokens": lambda amount: amount.output_tokens,
    "dollars": lambda amount: amount.nanodollars / NANO,
    "tool_calls": lambda amount: amount.tool_calls,
    "seconds": lambda amount: amount.milliseconds / 1000,
}
