"""Prices of model calls, USD per million tokens: stated ones first, then the `genai-prices` table."""

from collections.abc import Mapping
from datetime import date
from functools import lru_cache
from typing import Any

Price = tuple[float, float]


def price_of(model: str, stated: Mapping[str, Price], hint: object = None) -> Price | None:
    """The (input, output) price of a model, or None when nobody knows it.

    Args:
        model: The model's name as the provider calls it.
        stated: Prices by name that go first (`Policy.prices`).
        hint: A price that the model object carries in its metadata as `interlock_price`.
    """
    if model in stated:
        return stated[model]
    if isinstance(hint, (tuple, list)) and len(hint) == 2:
        return float(hint[0]), float(hint[1])
    return _from_table(model)


@lru_cache(maxsize=256)
def _from_table(model: str) -> Price | None:
    from genai_prices import Usage, calc_price

    try:
        million_in = calc_price(Usage(input_tokens=1_000_000), model_ref=model).total_price
        million_out = calc_price(Usage(output_tokens=1_000_000), model_ref=model).total_price
    except LookupError:
        return None
    return float(million_in), float(million_out)


def table_date() -> date:
    """The newest change of a price that the table knows of; what changed later has to be stated."""
    from genai_prices.data import providers

    today = date.today()
    starts = (_starts(model) for provider in providers for model in provider.models)
    return max((start for found in starts for start in found if start <= today), default=date.min)


def _starts(model: Any) -> list[date]:
    dated = [*(model.prices if isinstance(model.prices, list) else ()), *(getattr(model, "price_variants", None) or ())]
    found = (getattr(entry.constraint, "start_date", None) for entry in dated)
    return [start for start in found if start is not None]
