"""Exit codes, and the error that a command ends with when it cannot be done."""

from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from state.guarded import Outcome

FAULT: Final = 1
HOLES: Final = 1
BAD_USAGE: Final = 2
STOPPED: Final = 5

EXIT_CODES: "Final[dict[Outcome, int]]" = {"complete": 0, "partial": 3, "refused": 4, "stopped": STOPPED}
"""By outcome, the worse the higher: of many answers the highest decides."""


class BadUsage(Exception):
    """What was typed cannot be done; says in one line what is wrong and what to do."""
