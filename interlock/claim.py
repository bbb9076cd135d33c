"""Claim: one process at a time works on a run. The operating system gives a claim back when its process dies."""

import fcntl
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path


class Taken(Exception):
    """Somebody else, here or in another process, is working on it."""


@contextmanager
def claimed(path: Path) -> Iterator[None]:
    """Hold the claim that a file stands for; the file is there as long as it is held, or was when its process died.

    Raises:
        Taken: Somebody else holds it.
        OSError: The file cannot be made.
    """
    file = _locked(path)
    try:
        yield
    finally:
        path.unlink(missing_ok=True)  # before it is given back: a newcomer that has it open finds it gone, and retries
        os.close(file)


def is_claimed(path: Path) -> bool:
    """Whether somebody alive holds the claim."""
    try:
        file = os.open(path, os.O_RDWR | os.O_CLOEXEC)
    except OSError:
        return False
    try:
        fcntl.flock(file, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        return True
    finally:
        os.close(file)
    return False


def _locked(path: Path) -> int:
    while True:
        file = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            if _same(file, path):
                return file
        except BlockingIOError:
            os.close(file)
            raise Taken from None
        os.close(file)


def _same(file: int, path: Path) -> bool:
    try:
        return os.path.samestat(os.fstat(file), path.stat())
    except FileNotFoundError:
        return False
