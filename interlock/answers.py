"""Answers: a file of JSON answers, one a line, that a later call can go on with."""

import fcntl
import json
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO, TYPE_CHECKING, Final

from interlock.exits import EXIT_CODES, BadUsage
from interlock.terminal import put

if TYPE_CHECKING:
    from state.answer import Answer

BEGINNING: Final = b'{"version":'
"""How a line of ours begins; only such a line is ever taken away."""


class Answers:
    """Where answers go, line by line.

    Attributes:
        codes: The exit code of every answer by its id, those of earlier calls included.
    """

    def __init__(self, file: IO[bytes] | None, codes: dict[str, int]) -> None:
        self.codes = codes
        self._file = file

    def add(self, answer: "Answer") -> None:
        """Write one answer, so that a kill cannot lose it any more."""
        self.codes[answer.id] = EXIT_CODES[answer.outcome]
        text = answer.model_dump_json()
        if self._file is None:
            put(text)
        else:
            _write(self._file, text)


@contextmanager
def opened(path: Path | None) -> Iterator[Answers]:
    """The answers of a file, which is made when it is not there; without a path they go to stdout.

    A last line that a kill cut off is taken away.

    Raises:
        BadUsage: The file holds something else, or another process is writing to it.
    """
    if path is None:
        yield Answers(None, {})
        return
    with path.open("a+b") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            raise BadUsage(f"--jsonl {path}: another interlock is writing to it: wait, or name another file") from None
        yield Answers(file, _read(file, path))


def append(path: Path, answer: "Answer") -> None:
    """Add the answer of a run whose own process holds the file and does nothing any more."""
    with path.open("ab") as file:
        _write(file, answer.model_dump_json())


def _write(file: IO[bytes], text: str) -> None:
    file.write(text.encode("utf-8", errors="replace") + b"\n")
    file.flush()


def _read(file: IO[bytes], path: Path) -> dict[str, int]:
    """The exit codes of the answers that are there; the file is left at its end."""
    codes: dict[str, int] = {}
    whole = 0
    file.seek(0)
    for number, line in enumerate(file, 1):
        if not line.endswith(b"\n") and line[: len(BEGINNING)] == BEGINNING[: len(line)]:
            break
        try:
            answer = json.loads(line)
            codes[str(answer["id"])] = EXIT_CODES[answer["outcome"]]
        except (ValueError, KeyError, TypeError, RecursionError):
            raise BadUsage(f"--jsonl {path} line {number} is no answer of ours: name another file") from None
        whole += len(line)
    file.truncate(whole)
    file.seek(0, os.SEEK_END)
    return codes
