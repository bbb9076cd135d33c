"""Loop: a way back that ends."""

from collections.abc import Callable
from typing import Any

from langgraph.graph import StateGraph


def whole(state: Any) -> Any:
    """The state itself: any change of it is progress."""
    return state


class Loop:
    """Router of a loop: on to `then` when `until(state)` holds, else back.

    Bare, it goes round for as long as `until` says no. Under a guard it goes back at most `at_most - 1` times: the
    rounds are counted in the state (`run.rounds`), so the count survives a resume.
    """

    def __init__(
        self,
        source: str,
        back_to: str,
        until: Callable[[Any], bool],
        at_most: int | None,
        then: str,
        enough: bool = False,
        progress: Callable[[Any], Any] | None = None,
    ) -> None:
        self.source = source
        self.back_to = back_to
        self.until = until
        self.at_most = at_most
        self.then = then
        self.enough = enough
        self.progress = progress

    def __call__(self, state: Any) -> str:
        """Where to go next, unbounded."""
        return self.then if self.until(state) else self.back_to


def loop(
    graph: StateGraph[Any, Any, Any, Any],
    source: str,
    *,
    back_to: str,
    until: Callable[[Any], bool],
    then: str,
    at_most: int | None = None,
    enough: bool = False,
    progress: Callable[[Any], Any] | None = whole,
) -> None:
    """Go from `source` back to `back_to` until a condition holds, and no oftener than allowed (requirement C7).

    Under a guard the loop also ends when the run is ending, and when a round changed nothing or repeated an earlier one
    (`guards.running.progress` says what is compared). Ending at the limit or at a standstill is recorded in
    `run.missing` (outcome `partial`) unless `enough` says that this is fine.

    Args:
        graph: The drawing.
        source: The node that decides; it runs at most `at_most` times in a row.
        back_to: Where another round begins.
        until: Called with the state after `source`; True ends the loop.
        then: Where the run goes on.
        at_most: Times that `source` may run; None: `Policy.rounds` (guide: max_iterations=3).
        enough: Running out of rounds, or of progress, is an ordinary end, not a loss.
        progress: Called with the state; gives what must change from round to round. None: rounds may be alike, as when
            something outside is waited for.

    Raises:
        ValueError: `at_most` is less than 1.
    """
    if at_most is not None and at_most < 1:
        raise ValueError(f"loop at '{source}': at_most={at_most} must be at least 1")
    router = Loop(source, back_to, until, at_most, then, enough, progress)
    graph.add_conditional_edges(source, router, [back_to, then])
