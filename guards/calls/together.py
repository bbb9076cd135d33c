"""Together: gates that ask the store about a call do so in one change, so that the call waits for it once."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

from guards.calls.calls import Call, Usage
from guards.stores import Decide, Row, Rows, Store


def _nothing(_: Any) -> None:
    return


@dataclass(frozen=True)
class Change:
    """What a gate asks of the store before a call may pass.

    Attributes:
        keys: The rows it reads and may write.
        decide: From the rows as they are to those that are to be written; raises to refuse the call.
        made: Called with what was written.
        failed: Called with the error when the call is refused, by this gate or by one that asks with it.
    """

    keys: Sequence[str]
    decide: Decide
    made: Callable[[Rows], object] = _nothing
    failed: Callable[[BaseException], object] = _nothing


class AskingGate(Protocol):
    """A gate whose `enter` is one change of the store."""

    async def change(self, call: Call, books: Store) -> Change | None:
        """What to ask for a call; None: it may pass. Raises to refuse it, having taken nothing."""

    def leave(self, call: Call, error: BaseException | None, usage: Usage | None) -> None:
        """The call is over."""


class Together:
    """One gate made of several; the first one's refusal comes first, and what one refuses no other has taken.

    Args:
        store: Gives the store.
        gates: In their order.
    """

    def __init__(self, store: Callable[[], Store], *gates: AskingGate) -> None:
        self._store = store
        self._gates = gates

    async def enter(self, call: Call) -> None:
        """Let the call through all gates, or refuse it."""
        books, changes = self._store(), list[Change]()
        try:
            for gate in self._gates:
                if (change := await gate.change(call, books)) is not None:
                    changes.append(change)
        except BaseException as error:
            _fail(changes, error)
            raise
        await change_all(books, changes)

    def leave(self, call: Call, error: BaseException | None, usage: Usage | None) -> None:
        """Leave them, the last one first."""
        for gate in reversed(self._gates):
            gate.leave(call, error, usage)


async def change_all(books: Store, changes: Sequence[Change]) -> None:
    """Make all changes at once, or none.

    Raises:
        StoreDown: The store does not answer.
    """
    if not changes:
        return
    try:
        written = await books.change([key for change in changes for key in change.keys], _joined(changes))
    except BaseException as error:
        _fail(changes, error)
        raise
    for change in changes:
        change.made({key: written[key] for key in change.keys if key in written})


def _joined(changes: Sequence[Change]) -> Decide:
    def decide(rows: Rows) -> Rows:
        written: dict[str, Row | None] = {}
        for change in changes:
            written.update(change.decide({key: rows[key] for key in change.keys}))
        return written

    return decide


def _fail(changes: Sequence[Change], error: BaseException) -> None:
    for change in changes:
        change.failed(error)
