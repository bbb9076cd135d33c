"""Memory: the store of one process, a dictionary under a lock. It ends with the process."""

import threading
from collections.abc import Sequence

from guards.stores import Decide, Row, Rows

ROWS_KEPT = 20_000
"""About 10 MB. A run whose rows have gone goes on with what its own record knows."""


class MemoryStore:
    """Rows in memory. Nothing in it blocks, so nothing needs a thread."""

    def __init__(self) -> None:
        self._rows: dict[str, Row] = {}
        self._lock = threading.Lock()

    async def change(self, keys: Sequence[str], decide: Decide) -> Rows:
        """Read some rows, decide, write."""
        return self._change(keys, decide)

    def change_soon(self, keys: Sequence[str], decide: Decide, *, with_next: bool = False) -> None:
        """The same; done when it returns."""
        self._change(keys, decide)

    async def after(self, prefix: str, key: str, at_most: int) -> Rows:
        """Rows whose keys begin so and come after `key`, in the order of their keys."""
        with self._lock:
            found = sorted(one for one in self._rows if one.startswith(prefix) and one > key)
            return {one: self._rows[one] for one in found[:at_most]}

    async def settled(self) -> None:
        """Everything is."""

    def close(self) -> None:
        """There is nothing to let go of."""

    async def due(self, prefix: str, before: float, at_most: int) -> Rows:
        """Rows whose `until` is over, the oldest first."""
        with self._lock:
            found = [(row.get("until", 0), key) for key, row in self._rows.items() if key.startswith(prefix)]
            keys = [key for until, key in sorted(found) if 0 < until < before][:at_most]
            return {key: self._rows[key] for key in keys}

    def _change(self, keys: Sequence[str], decide: Decide) -> Rows:
        with self._lock:
            written = decide({key: self._rows.get(key) for key in keys})
            for key, row in written.items():
                self._rows.pop(key, None)
                if row is not None:
                    self._rows[key] = row
            if len(self._rows) > ROWS_KEPT:
                self._drop_idle()
            return written

    def _drop_idle(self) -> None:
        """The half that was not written for the longest goes, but for holds: those of a killed call are still owed."""
        for key in [key for key in self._rows if not key.startswith("hold:")][: ROWS_KEPT // 2]:
            del self._rows[key]
