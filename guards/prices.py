"""Prices of model calls, USD per million tokens: stated ones first, then the `genai-prices` table."""

from collections.abc import Mapping
from functools import lru_cache

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
