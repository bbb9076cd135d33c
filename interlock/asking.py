"""Asking: a run to its end, and what happens when it waits for a person on the way (`--merge ask`)."""

import asyncio
import json
import sys
from collections.abc import Awaitable, Callable
from typing import Any, Final

from interlock.progress import Show, shown
from interlock.runner import Paused, resume
from interlock.stopping import Stopping
from interlock.store import Store
from interlock.terminal import plain, say
from state.answer import Answer

QUESTION_CHARACTERS: Final = 4_000

Go = Callable[[Show], Awaitable[Answer]]


async def to_the_end(go: Go, store: Store, title: str, quiet: bool, stopping: Stopping) -> Answer | None:
    """The run's answer; None when it waits for a person and nobody is there: then one line says how to go on.

    Args:
        go: Starts or resumes the run.
        store: Where it is kept.
        title: The question, for the live view.
        quiet: Show no progress.
        stopping: What ends it early.
    """
    while True:
        try:
            with shown(quiet, title) as show, stopping.watched(show) as watch:
                return await go(watch)
        except Paused as paused:
            said = await _ask(paused.asked, stopping)
            if said is None:
                say(f"{_text(paused.asked)} To answer: interlock resume {paused.run} --answer TEXT")
                return None
            run = paused.run
        go = _resumed(run, store, said)


def _resumed(run: str, store: Store, said: Any) -> Go:
    return lambda watch: resume(run, store, watch, said)


async def _ask(asked: Any, stopping: Stopping) -> Any:
    """What the person at the terminal says; None when there is none, or Ctrl-C, or nothing is said."""
    if not (sys.stdin.isatty() and sys.stderr.isatty()):
        return None
    print(f"{plain(_text(asked), chr(10))}\nYour answer: ", end="", file=sys.stderr, flush=True)
    reading = asyncio.ensure_future(asyncio.to_thread(sys.stdin.readline))
    await asyncio.wait({reading, asyncio.ensure_future(stopping.asked.wait())}, return_when=asyncio.FIRST_COMPLETED)
    return read_answer(reading.result()) if reading.done() else None


def read_answer(text: str) -> Any:
    """An answer as it was typed: JSON if it is, else the text; None for nothing."""
    text = text.strip()
    try:
        return json.loads(text) if text else None
    except ValueError:
        return text


def _text(asked: Any) -> str:
    text = asked if isinstance(asked, str) else json.dumps(asked, ensure_ascii=False, default=str)
    return text[:QUESTION_CHARACTERS]
