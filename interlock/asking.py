"""Asking: a run to its end, and what happens when it waits for a person on the way (`--merge ask`)."""

import argparse
import asyncio
import sys
from collections.abc import Awaitable, Callable, Sequence
from functools import partial
from typing import Any, Final

from interlock.exits import BadUsage
from interlock.lifeguard import with_lifeguard
from interlock.progress import Show, shown
from interlock.runner import Paused, resume
from interlock.stopping import Stopping
from interlock.store import Store
from interlock.terminal import line, say
from state.answer import Answer

HOW: Final = "one number a group, 0 keeps all of its values"

Go = Callable[[Show], Awaitable[Answer]]
Group = dict[str, Any]
"""What `nodes.settle` asks about: `subject`, and `values` with `value` and `source_ids`."""


async def to_the_end(
    go: Go, store: Store, title: str, args: argparse.Namespace, stopping: Stopping, said: str | None = None
) -> Answer | None:
    """The run's answer; None when it waits for a person and nobody is there: then it is said how to go on.

    Args:
        go: Starts or resumes the run.
        store: Where it is kept.
        title: The question, for the live view.
        args: `quiet`: show no progress; and how the answer is handed over if this process hangs.
        stopping: What ends it early.
        said: What the person says, when that is known already.

    Raises:
        BadUsage: What is said is no choice.
    """
    while True:
        try:
            with (
                shown(args.quiet, title) as show,
                stopping.watched(show) as watch,
                with_lifeguard(watch, args) as seen,
            ):
                return await go(seen)
        except Paused as paused:
            run, groups = paused.run, paused.asked["groups"]
        chosen = chosen_values(groups, said) if said else await _ask(groups, stopping)
        if chosen is None:
            say(f"run {run} waits for you: interlock resume {run} --answer N,... ({HOW})")
            return None
        go, said = partial(_resumed, run, store, chosen), None


def chosen_values(groups: Sequence[Group], said: str) -> list[str]:
    """The value that was chosen of each group, empty for none.

    Raises:
        BadUsage: It is not one number a group, or there is no such value.
    """
    numbers = said.replace(",", " ").split()
    if len(numbers) != len(groups):
        raise BadUsage(f"'{said}' is no choice for {len(groups)} group(s): {HOW}")
    return [_chosen(group, number) for group, number in zip(groups, numbers, strict=True)]


def _chosen(group: Group, number: str) -> str:
    values = ["", *(str(value["value"]) for value in group["values"])]
    if not (number.isascii() and number.isdigit()) or int(number[:9]) >= len(values):
        raise BadUsage(f"'{number}' is none of 0 to {len(values) - 1}: {HOW}")
    return values[int(number[:9])]


async def _resumed(run: str, store: Store, chosen: list[str], watch: Show) -> Answer:
    return await resume(run, store, watch, chosen)


async def _ask(groups: Sequence[Group], stopping: Stopping) -> list[str] | None:
    """What the person at the terminal chooses; None without one, on Ctrl-C, and at the end of the input."""
    for text in _lines(groups):
        print(text, file=sys.stderr)
    while sys.stdin.isatty() and sys.stderr.isatty() and (said := await _typed(stopping)):
        try:
            return chosen_values(groups, said.strip())
        except BadUsage as error:
            say(str(error))
    return None


def _lines(groups: Sequence[Group]) -> list[str]:
    texts = ["The sources give different values."]
    for number, group in enumerate(groups, 1):
        texts.append(f"group {number}: {line(str(group['subject']))}")
        for place, value in enumerate(group["values"], 1):
            texts.append(f"  {place}: {line(str(value['value']))}  ({line(', '.join(value['source_ids']))})")
    return texts


async def _typed(stopping: Stopping) -> str:
    """A line from the terminal, empty at its end and on Ctrl-C."""
    print(f"Which hold ({HOW})? ", end="", file=sys.stderr, flush=True)
    reading = asyncio.ensure_future(asyncio.to_thread(sys.stdin.readline))
    await asyncio.wait({reading, asyncio.ensure_future(stopping.asked.wait())}, return_when=asyncio.FIRST_COMPLETED)
    return reading.result() if reading.done() else ""
