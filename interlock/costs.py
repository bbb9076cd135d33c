"""Costs: what one research run costs with each choice of models, by the price table."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

from graphs.research import POLICY
from guards.errors import Permanent
from guards.ledger.prices import Price, price_of
from interlock.arguments import ROLES
from nodes.models import configured, name_for, stated_price

KNOWN: Final = ("gpt-4o-mini", "gpt-4.1-mini", "gpt-4.1", "gpt-4o")
"""Shown for comparison."""

USUAL: Final = {"planner": (200, 150), "writer": (4_000, 800), "judge": (1_000, 150), "reviewer": (4_000, 100)}
"""Input and output tokens by role of a run over the examples; longer sources and further drafts add to it."""


@dataclass(frozen=True)
class Cost:
    """One choice, in USD. `usual`: None without a known price; `most`: the graph's limit, None for none."""

    choice: str
    usual: float | None
    most: float | None


def costs() -> list[Cost]:
    """No model, the models that are configured, and well-known ones."""
    found = [Cost("no language model (--mode extractive)", 0.0, 0.0)]
    if configured():
        names = {role: name_for(role, None) for role in ROLES}
        found.append(
            Cost(f"as configured ({', '.join(dict.fromkeys(names.values()))})", usual(names, _stated()), most())
        )
    return found + [Cost(name, usual(dict.fromkeys(ROLES, name)), most()) for name in KNOWN]


def most() -> float | None:
    """What a run can cost at most: the limit holds for whatever is called."""
    return POLICY.dollars


def usual(names: Mapping[str, str], stated: Price | None = None) -> float | None:
    """USD of a usual run with these models by role; None when the price of one is unknown.

    Args:
        names: Model by role.
        stated: A price that goes before the table.
    """
    total = 0.0
    for role, (tokens_in, tokens_out) in USUAL.items():
        price = price_of(names[role], {}, stated)
        if price is None:
            return None
        total += (tokens_in * price[0] + tokens_out * price[1]) / 1_000_000
    return round(total, 6)


def _stated() -> Price | None:
    try:
        return stated_price()
    except Permanent:
        return None
