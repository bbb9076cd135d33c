"""Noted: refused requests go on record, at most one a second of each kind, so that nobody floods the record."""

import threading
import time
from typing import Final

from interlock.doors.caller import Denied

EVERY_SECONDS: Final = 1.0
RECORDED: Final = (401, 403, 404, 413)

_lock = threading.Lock()
_noted: dict[tuple[int, str], tuple[float, int]] = {}
"""By status and kind of request: when the last one was recorded, and how many were not since."""


def note(denied: Denied, what: str, who: str = "") -> None:
    """Put a refusal on record: its status and its caller, if it is known; never what was shown.

    Args:
        denied: The refusal.
        what: "request", or the resource and the action.
        who: The caller's identity.
    """
    if denied.status not in RECORDED:
        return
    now, kind = time.monotonic(), (denied.status, what)
    with _lock:
        last, more = _noted.get(kind, (float("-inf"), 0))
        if now - last < EVERY_SECONDS:
            _noted[kind] = last, more + 1
            return
        _noted[kind] = now, 0
    from guards.audit.record import record

    record("refused", what, agent=who, rules=[f"http {denied.status}", *([f"and {more:,} more"] if more else [])])
