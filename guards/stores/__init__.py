"""Stores: a few keyed rows that ledger, breakers and rate limits change together, whatever keeps them.

`guards.stores.chosen.store()` gives the one that INTERLOCK_STORE names.
"""

from collections.abc import Callable, Mapping, Sequence
from typing import Any, Protocol

from guards.errors import Transient

Row = dict[str, Any]
"""Plain JSON values. `until`: seconds since the epoch after which the row is due (see `Store.due`); 0: never. The
ledger's sweep forgets rows that are due, whoever wrote them; a hold it charges first."""

Rows = Mapping[str, Row | None]
"""Rows by key; None: there is no such row, or it is to go."""

Decide = Callable[[Rows], Rows]
"""From the rows as they are to the rows that are to be written: of the same keys, or new ones. Pure and quick: it runs
in any thread and changes no row in place. What it raises leaves every row as it was."""


LINGER_SECONDS = 0.05
"""What a change that may wait for the next one waits at most."""


class StoreDown(Transient):
    """The store does not answer; nothing is set aside, so no call is made.

    Args:
        what: Which store and what is wrong with it, in one line without secrets.
    """

    def __init__(self, what: str) -> None:
        super().__init__(f"the ledger's store {what}: mend it, or choose another with INTERLOCK_STORE")


class CannotOpen(StoreDown):
    """It cannot even be opened."""


class Store(Protocol):
    """Keyed rows with atomic changes; used from any thread and any event loop, and never blocks a loop."""

    async def change(self, keys: Sequence[str], decide: Decide) -> Rows:
        """Read some rows, decide, write: all at once and alone.

        Args:
            keys: The rows that are read and may be written.
            decide: Called once, or not at all when the caller is cancelled before.

        Returns:
            What was written.

        Raises:
            StoreDown: It does not answer; nothing was written.
        """

    def change_soon(self, keys: Sequence[str], decide: Decide, *, with_next: bool = False) -> None:
        """The same without waiting, before every change that is asked for later; a failure is logged.

        Args:
            keys: The rows that are read and may be written.
            decide: As for `change`.
            with_next: It may wait for the next change or for `settled`, at most `LINGER_SECONDS`: both are then one
                transaction. A process that is killed meanwhile has not made it.
        """

    async def settled(self) -> None:
        """Wait until everything that `change_soon` was asked for is written.

        Raises:
            StoreDown: The last of it was not.
        """

    async def due(self, prefix: str, before: float, at_most: int) -> Rows:
        """Rows whose keys begin so and whose `until` is over by then, the oldest first.

        Raises:
            StoreDown: It does not answer.
        """

    async def after(self, prefix: str, key: str, at_most: int) -> Rows:
        """Rows whose keys begin so and come after `key`, in the order of their keys.

        Raises:
            StoreDown: It does not answer.
        """

    def close(self) -> None:
        """Finish what was asked for and let go of everything; the next use opens it again."""
