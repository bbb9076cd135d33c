"""Faults: what nobody foresaw is written to a file, and one line says where."""

import os
import time
import traceback
from pathlib import Path
from typing import Final

from interlock.exits import FAULT
from interlock.terminal import line, say

FAULTS_KEPT: Final = 20
CHARACTERS: Final = 100_000


def fault(error: Exception) -> int:
    """Record an error of ours in the data folder and say so in one line; the exit code."""
    from guards.clean import redact

    text = redact("".join(traceback.format_exception(error))[-CHARACTERS:])[0]
    what = line(redact(f"{type(error).__name__}: {error}"[:CHARACTERS])[0], 200)
    try:
        say(f"interlock: a fault of ours ({what}); the details for a report are in {_written(text)}")
    except Exception:
        say(f"interlock: a fault of ours ({what}); the details cannot be written to the data folder")
    return FAULT


def _written(text: str) -> Path:
    from guards.folder import data_folder

    folder = data_folder() / "faults"
    folder.mkdir(exist_ok=True, mode=0o700)
    for old in sorted(folder.glob("*.txt"))[: -FAULTS_KEPT + 1]:
        old.unlink(missing_ok=True)
    path = folder / f"{time.strftime('%Y%m%d-%H%M%S')}-{os.getpid()}.txt"
    path.write_text(text, encoding="utf-8", errors="replace")
    return path
