"""Terminal: how text reaches a person. What comes from a source may hold anything, so control characters never do."""

import contextlib
import os
import sys
import unicodedata
from pathlib import Path
from typing import NoReturn, TextIO

_UNSEEN = {"Cc", "Cf", "Cs", "Co"}
"""Control characters, those that turn the writing direction or hide, lone surrogates, private ones."""

_SHOW_CURSOR = b"\x1b[?25h"
_JOINERS = "\u200c\u200d"
"""Some scripts, and emoji, need them."""


def plain(text: str, keep: str = "") -> str:
    """The text without characters that could move the cursor, change colours or hide something.

    Args:
        text: Any text.
        keep: Control characters that stay.
    """
    if text.isascii() and text.isprintable():
        return text
    keep += _JOINERS
    return "".join(letter for letter in text if letter in keep or unicodedata.category(letter) not in _UNSEEN)


def line(text: str, longest: int = 300) -> str:
    """The text as one line of at most that many characters."""
    words = " ".join(plain(text[: 4 * longest], "\n\t").split())
    return words if len(words) <= longest else f"{words[: longest - 1]}…"


def say(text: str) -> None:
    """One line on stderr; where that takes nothing, nobody wants to hear it."""
    with contextlib.suppress(OSError):
        _write(sys.stderr, f"{line(text, 1_000)}\n")


def put(text: str) -> None:
    """Data on stdout, as it is.

    Raises:
        OSError: It takes nothing: it is a file on a full disk.
    """
    _write(sys.stdout, text if text.endswith("\n") else f"{text}\n")


def put_report(markdown: str) -> None:
    """A report on stdout: drawn for a terminal, as Markdown for everything else."""
    if not sys.stdout.isatty():
        put(markdown)
        return
    from rich.console import Console
    from rich.markdown import Markdown

    with contextlib.suppress(BrokenPipeError):
        Console().print(Markdown(plain(markdown, "\n\t"), hyperlinks=False))


def tolerant() -> None:
    """Let no stream that was closed, and no character that the terminal cannot show, end a command."""
    for name, mode in {"stdin": "r", "stdout": "w", "stderr": "w"}.items():
        if getattr(sys, name) is None:
            setattr(sys, name, Path(os.devnull).open(mode, encoding="utf-8"))  # noqa: SIM115 - stays open
    for stream in (sys.stdout, sys.stderr):
        if hasattr(stream, "reconfigure"):
            stream.reconfigure(errors="replace")


def leave(code: int, midway: bool = False) -> NoReturn:
    """End the process now: no thread, task or tracer that hangs can hold it.

    Args:
        code: Its exit code.
        midway: A live view may be on the screen, which hides the cursor.
    """
    for stream in (sys.stdout, sys.stderr):
        with contextlib.suppress(OSError, ValueError, RuntimeError):  # RuntimeError: a signal came while it was written
            stream.flush()
    if midway and os.isatty(2):
        os.write(2, _SHOW_CURSOR)
    os._exit(code)


def _write(stream: TextIO, text: str) -> None:
    """Write; when nobody reads any more, drop this and all that follows."""
    try:
        stream.write(text)
        stream.flush()
    except (BrokenPipeError, ValueError):
        with contextlib.suppress(OSError, ValueError):
            os.dup2(os.open(os.devnull, os.O_WRONLY), stream.fileno())
