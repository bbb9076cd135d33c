"""Width: how much one router or one `Command` may send at once. LangGraph's recursion limit does not count it."""

from collections.abc import Sequence
from typing import Any

from langgraph.types import Send

from state.guarded import Missing


def narrowed(steps: Any, cap: int | None) -> tuple[Any, tuple[Missing, ...]]:
    """Cut what is sent at the cap; what is not started is named.

    Args:
        steps: What a router returned, or a `Command`'s `goto`.
        cap: The most `Send`s; None: any number.

    Returns:
        The steps to take, and the loss if there is one.
    """
    if cap is None or not isinstance(steps, (list, tuple)):
        return steps, ()
    sends = [step for step in steps if isinstance(step, Send)]
    if len(sends) <= cap:
        return steps, ()
    reason = f"{len(sends) - cap} of {len(sends)} branches not started: the cap is {cap}"
    return _without(steps, sends[cap:]), (Missing(what=sends[0].node, status="refused", reason=reason),)


def _without(steps: Sequence[Any], dropped: list[Send]) -> list[Any]:
    gone = set(map(id, dropped))
    return [step for step in steps if id(step) not in gone]
