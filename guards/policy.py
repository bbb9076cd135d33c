"""Policy: the limits of a run, in one frozen record."""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any


@dataclass(frozen=True, kw_only=True)
class Policy:
    """The limits that `guard()` puts around a graph. `None` means off and must be written to get it.

    Attributes:
        seconds: Wall time of a whole run (guide: max_execution_time=300). At the limit running nodes are cancelled,
            closing nodes and fallbacks finish what was found, the outcome is `stopped`.
        timeout: Wall seconds of one attempt of one node (guide: an agent silent for 30 s is broken).
        attempts: Attempts per node, the first included; only transient errors are tried again.
        calls: Model calls in the whole run tree, retries and subgraphs included.
        tokens: Input plus output tokens in the whole run tree.
        dollars: Money in the whole run tree, USD.
        rounds: How often a loop may go round unless it says otherwise (guide: max_iterations=3).
        fan_out: Cap on what one router may send at once; None: every fan-out must state its own `at_most`.
        wind_down: Seconds at the end of a run kept for the nodes that close it; at most a fifth of `seconds`.
        reply_tokens: Output tokens reserved for a call that states no maximum of its own.
        prices: USD per million (input, output) tokens by model name; goes before the price table.
        clean_input: Whether every way from the start must pass `clean(INPUT, ...)`.
        clean_output: Whether every way to the end must pass `clean(OUTPUT, ...)`.

    Raises:
        ValueError: A limit is not positive.
    """

    seconds: float | None = 300.0
    timeout: float | None = 30.0
    attempts: int = 2
    calls: int | None = 40
    tokens: int | None = 200_000
    dollars: float | None = 1.00
    rounds: int = 3
    fan_out: int | None = None
    wind_down: float = 10.0
    reply_tokens: int = 4_096
    prices: Mapping[str, tuple[float, float]] = field(default_factory=dict)
    clean_input: bool = True
    clean_output: bool = True

    def __post_init__(self) -> None:
        for name in ("seconds", "timeout", "attempts", "rounds", "fan_out", "reply_tokens"):
            value = getattr(self, name)
            if value is not None and not value > 0:
                raise ValueError(
                    f"Policy({name}={value!r}): must be more than 0, or None for off where that is allowed"
                )
        for name in ("calls", "tokens", "dollars", "wind_down"):
            value = getattr(self, name)
            if value is not None and not value >= 0:
                raise ValueError(f"Policy({name}={value!r}): must not be negative")

    def but(self, **changes: Any) -> "Policy":
        """This policy with some limits changed."""
        return replace(self, **changes)

    @property
    def closing_seconds(self) -> float:
        """Seconds at the end of a run that only closing nodes may use."""
        return self.wind_down if self.seconds is None else min(self.wind_down, self.seconds / 5)
