"""Stores: a few keyed rows that ledger, breakers and rate limits change together, whatever keeps them."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any, Protocol

Row = dict[str, Any]
"""Plain JSON values. `until`: seconds since the epoch after which the row is due (see `Store.due`); 0: never."""

Rows = Mapping[str, Row | None]
"""Rows by key; None: there is no such row, or it is to go."""

Decide = Callable[[Rows], Rows]
"""From the rows as they are to the rows that are to be written. Pure and quick: it may be called again, in any thread.
What it raises leaves every row as it was."""


class Store(Protocol):
    """Keyed rows with atomic changes; used from any thread and any event loop, and never blocks a loop."""

    async def change(self, keys: Sequence[str], decide: Decide) -> Rows:
        """Read some rows, decide, write: all at once and alone. Returns what was written."""

    def change_soon(self, keys: Sequence[str], decide: Decide) -> None:
        """The same, in the order of the calls, without waiting; a failure is logged."""

    async def due(self, prefix: str, before: float, at_most: int) -> Rows:
        """Rows whose `until` is over, the oldest first."""
