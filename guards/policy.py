"""Policy: the limits of a run, in one frozen record."""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import Any, Literal

from guards.calls.breaker import Breaker
from guards.degrade import Step
from guards.ledger.limits import Limits
from guards.taint.acts import Acts

_POSITIVE = (
    "seconds",
    "timeout",
    "attempts",
    "rounds",
    "fan_out",
    "reply_tokens",
    "requests_per_minute",
    "tokens_per_minute",
    "calls_in_flight",
)


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
        input_tokens: Input tokens in the whole run tree.
        output_tokens: Output tokens in the whole run tree.
        tool_calls: Calls of LangChain tools in the whole run tree.
        dollars: Money in the whole run tree, USD.
        rounds: How often a loop may go round unless it says otherwise (guide: max_iterations=3).
        fan_out: Cap on what one router may send at once; None: every fan-out must state its own `at_most`.
        wind_down: Seconds at the end of a run kept for the nodes that close it; at most a fifth of `seconds`.
        reply_tokens: Output tokens reserved for a call that states no maximum of its own.
        per_attempt: Limits of one attempt of one node.
        per_role: Limits of each agent role in a run: `interlock_role` in a call's metadata, else the node's name.
        per_hour: Limits of all runs that share the store, in one clock hour (UTC).
        per_day: The same in one day (UTC).
        per_tenant: Limits of one tenant in one day: `configurable.tenant` of the run's config. Runs without one share
            the tenant "".
        when_short: What happens when less is left of an hour's, a day's or a tenant's limits than the run's ceiling
            (`guards.ceiling`): "refuse" it before it starts, "shrink" its limits to what is left, or "start" it as it
            is, to be stopped when the limit is reached.
        requests_per_minute: Model calls in any 60 s, over all agents, runs and processes that share a provider key and
            a store (guide: I3).
        tokens_per_minute: Input plus output tokens, in the same way.
        calls_in_flight: Model calls of one provider key that are open at once in this process.
        breaker: When the circuit of a model, tool or source opens (guide: C5); None: never.
        prices: USD per million (input, output) tokens by model name; goes before the price table.
        degrade: What the run gives up at which part of its limits (guide: P1); each step is taken once.
        uncoordinated: Whether 4 or more agents may talk to each other with no coordinator (guide: C3).
        clean_input: Whether every way from the start must pass `clean(INPUT, ...)`.
        clean_output: Whether every way to the end must pass `clean(OUTPUT, ...)`.
        acts: Hold tools that change the world to the user's own words (`guards.taint.gate`); None: off.

    Raises:
        ValueError: A limit is not positive.
    """

    seconds: float | None = 300.0
    timeout: float | None = 30.0
    attempts: int = 2
    calls: int | None = 40
    tokens: int | None = 200_000
    dollars: float | None = 1.00
    input_tokens: int | None = None
    output_tokens: int | None = None
    tool_calls: int | None = None
    per_attempt: Limits = Limits()
    per_role: Mapping[str, Limits] = field(default_factory=dict)
    per_hour: Limits = Limits()
    per_day: Limits = Limits()
    per_tenant: Limits = Limits()
    rounds: int = 3
    fan_out: int | None = None
    wind_down: float = 10.0
    reply_tokens: int = 4_096
    when_short: Literal["refuse", "shrink", "start"] = "refuse"
    requests_per_minute: int | None = None
    tokens_per_minute: int | None = None
    calls_in_flight: int | None = 100
    breaker: Breaker | None = Breaker()
    prices: Mapping[str, tuple[float, float]] = field(default_factory=dict)
    degrade: tuple[Step, ...] = ()
    uncoordinated: bool = False
    clean_input: bool = True
    clean_output: bool = True
    acts: Acts | None = None

    def __post_init__(self) -> None:
        _check_positive({name: getattr(self, name) for name in _POSITIVE})
        for name in ("calls", "tokens", "input_tokens", "output_tokens", "tool_calls", "dollars", "wind_down"):
            value = getattr(self, name)
            if value is not None and not value >= 0:
                raise ValueError(f"Policy({name}={value!r}): must not be negative")
        for name in ("per_attempt", "per_hour", "per_day", "per_tenant"):
            _check_limits(name, getattr(self, name))
        for role, limits in self.per_role.items():
            _check_limits(f"per_role={{{role!r}: ...}}", limits)

    def but(self, **changes: Any) -> "Policy":
        """This policy with some limits changed."""
        return replace(self, **changes)

    @cached_property
    def per_run(self) -> Limits:
        """What the ledger of a run holds to; its wall time has its own clock."""
        return Limits(
            calls=self.calls,
            input_tokens=self.input_tokens,
            output_tokens=self.output_tokens,
            tokens=self.tokens,
            dollars=self.dollars,
            tool_calls=self.tool_calls,
        )

    @property
    def closing_seconds(self) -> float:
        """Seconds at the end of a run that only closing nodes may use."""
        return self.wind_down if self.seconds is None else min(self.wind_down, self.seconds / 5)


def _check_positive(limits: Mapping[str, float | None]) -> None:
    for name, value in limits.items():
        if value is not None and not value > 0:
            raise ValueError(f"Policy({name}={value!r}): must be more than 0, or None for off where that is allowed")


def _check_limits(name: str, value: object) -> None:
    if not isinstance(value, Limits):
        raise ValueError(f"Policy({name}): give Limits(...), not {value!r}; Limits() is off")
