"""Progress: what a run is doing, live on a terminal, as plain lines on stderr for everything else."""

import os
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Final

from interlock.events import Event
from interlock.terminal import line, say

Show = Callable[[Event], None]

STAGES: Final = {
    "clean_input": "clean input",
    "plan": "plan",
    "documents": "documents",
    "database": "database",
    "web": "web",
    "merge": "merge",
    "follow_up": "second round",
    "settle": "values",
    "write": "write",
    "review": "review",
    "publish": "publish",
    "clean_output": "clean output",
}
"""The stages of research in their order; a stage that is not among them is shown after them under its own name."""

REASON: Final = 100


@contextmanager
def shown(quiet: bool, title: str) -> Iterator[Show]:
    """Where the events of one run go.

    Args:
        quiet: Nowhere.
        title: The question, for the live view.
    """
    if quiet:
        yield lambda event: None
    elif sys.stderr.isatty() and os.environ.get("TERM") != "dumb":
        with _live(title) as show:
            yield show
    else:
        yield _lines()


def _lines() -> Show:
    named: set[str] = set()

    def show(event: Event) -> None:
        if event.run not in named:
            named.add(event.run)
            say(f"run {event.run}")
        text = told(event)
        if text is not None:
            say(text)

    return show


def told(event: Event) -> str | None:
    """An event as a plain line; None when it is not worth one."""
    name = STAGES.get(event.stage, event.stage)
    if event.state == "running":
        return f"{name}: {asking(event)}" if event.places else None
    if event.state == "skipped":
        return None
    what = "done" if event.found is None else counted(event.found, "finding")
    return f"{name}: {what if event.state == 'ok' else lost(event)} ({event.seconds:.1f} s)"


def asking(event: Event) -> str:
    """What a collector is doing."""
    return f"asking {counted(event.places or 0, 'place')}"


def counted(number: int, thing: str) -> str:
    """1 finding, 2 findings."""
    return f"{number:,} {thing}{'' if number == 1 else 's'}"


def lost(event: Event) -> str:
    """Why a stage has nothing to show, in a few words."""
    return line(f"{event.state}, {event.reason}" if event.reason else event.state, REASON)


@contextmanager
def _live(title: str) -> Iterator[Show]:
    from rich.console import Console
    from rich.live import Live

    from interlock.view import View

    view = View(title)
    with Live(view, console=Console(stderr=True), refresh_per_second=8, transient=True):
        yield view.show
