"""Losses: how an error of a node is told in the record of the run."""

from guards.errors import Interlock, Stopped, TimedOut
from state.guarded import Missing, Status

REASON_LENGTH = 300


def loss(what: str, error: Exception, seconds: float, optional: bool = False) -> Missing:
    """The entry that says how a node was lost."""
    status: Status = (
        "timed out" if isinstance(error, TimedOut) else "stopped" if isinstance(error, Stopped) else "failed"
    )
    return Missing(what=what, status=status, reason=line(error), seconds=seconds, optional=optional)


def line(error: BaseException) -> str:
    """One line about an error. Texts of foreign errors may hold anything, so only their kind is told."""
    text = str(error) if isinstance(error, Interlock) else _kind(error)
    return " ".join(text.split())[:REASON_LENGTH]


def _kind(error: BaseException) -> str:
    status = getattr(error, "status_code", None)
    return f"{type(error).__name__}{f' (HTTP {status})' if status else ''}"
