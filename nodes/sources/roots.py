"""Roots: the folders that a server's callers may name files in. On one's own machine none is set and all may be named.

INTERLOCK_ROOTS holds folders, separated as in PATH; `{tenant}` in one stands for the run's tenant; `none` is no folder
at all, which is what a server with a closed door begins with. Links are followed before they are judged.
"""

import os
from pathlib import Path
from typing import Final

from guards.running.current import current_attempt
from nodes.sources.collecting import Lost

NONE: Final = "none"


def inside(path: Path) -> Path:
    """A path with its links resolved, if the run may read it.

    Raises:
        Lost: It is outside the declared folders.
    """
    stated = os.environ.get("INTERLOCK_ROOTS", "")
    if not stated or any(path.is_relative_to(root) for root in _roots(stated)):
        return path
    raise Lost("it is outside the folders that may be read here (INTERLOCK_ROOTS)", "refused")


def _roots(stated: str) -> list[Path]:
    attempt = current_attempt.get()
    tenant = attempt.scope.tenant if attempt is not None else ""
    named = [part for part in stated.split(os.pathsep) if part and part != NONE and (tenant or "{tenant}" not in part)]
    return [Path(part.replace("{tenant}", tenant)).expanduser().resolve() for part in named]
