"""Remember: the reducer of an agents' memory that lets no injected text in, and what the run's record says of it.

What counts: see `state.remembered`. Not covered: a false statement that contradicts nothing pinned.
"""

from collections.abc import Iterator

from guards.scan.injection import orders as scan
from state.guarded import Missing
from state.memory import TEXT_KEPT
from state.remembered import Remembered, remembering


def orders(text: str) -> str | None:
    """The name of the input rule that a remembered text trips."""
    return scan(text, TEXT_KEPT)


remember = remembering(orders)
"""`memory: Annotated[Remembered, remember]`."""


def newly_barred(before: Remembered | None, after: Remembered) -> Iterator[Missing]:
    """An entry for each agent that an addition barred; it costs nobody's work, so it is told and no more."""
    known = {(bar.agent, bar.until) for bar in (before or Remembered()).barred}
    for bar in after.barred:
        if (bar.agent, bar.until) not in known:
            reason = f"kept out of memory up to interaction {bar.until}: {bar.reason}"
            yield Missing(what=bar.agent or "an agent", status="refused", reason=reason, optional=True)
