"""Claim: one process at a time works on a thing. The operating system gives a claim back when its process dies."""

import fcntl
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path


class Taken(Exception):
    """Somebody else, here or in another process, is working on it."""


@contextmanager
def claimed(path: Path) -> Iterator[None]:
    """Hold the claim that a file stands for; the file is there while it is held, or when its process was killed.

    Raises:
        Taken: Somebody else holds it.
        OSError: The file cannot be made.
    """
    file = _locked(path)
    try:
        yield
    finally:
        path.unlink(missing_ok=True)  # before it is given back: who has it open meanwhile finds it gone, and retries
        os.close(file)


@contextmanager
def in_turn(path: Path) -> Iterator[None]:
    """Wait for everybody else who does this with the same file; it stays.

    Raises:
        OSError: The file cannot be made.
    """
    file = _opened(path)
    try:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield
    finally:
        os.close(file)


def is_claimed(path: Path) -> bool:
    """Whether somebody alive holds the claim."""
    try:
        file = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    except OSError:
        return False
    try:
        return not _locks(file, fcntl.LOCK_SH)
    finally:
        os.close(file)


def _locked(path: Path) -> int:
    while True:
        file = _opened(path)
        if _locks(file, fcntl.LOCK_EX) and _same(file, path):
            return file
        held = not _locks(file, fcntl.LOCK_SH)  # not by one who only looks whether it is
        os.close(file)
        if held:
            raise Taken


def _locks(file: int, how: int) -> bool:
    try:
        fcntl.flock(file, how | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


def _opened(path: Path) -> int:
    return os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)


def _same(file: int, path: Path) -> bool:
    """Whether the open file is still the one that the path leads to."""
    try:
        return os.path.samestat(os.fstat(file), path.stat())
    except FileNotFoundError:
        return False
