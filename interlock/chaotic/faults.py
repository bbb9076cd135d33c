"""Faults: a drawing in which one node misbehaves; everything else is as its author drew it."""

import asyncio
import copy
import functools
import time
from collections.abc import Awaitable, Callable
from dataclasses import replace
from pathlib import Path
from typing import Any, Final

from langgraph.graph import StateGraph

from guards.drawings.words import words
from guards.running.wiring import node_runnable

Drawing = StateGraph[Any, Any, Any, Any]

HUGE: Final = 2_000_000
"""Characters of what a node says that corrupts memory."""

ALLOCATED: Final = 4_000_000_000
"""Bytes that a greedy node asks for; a trial with little memory has less."""

HOUR: Final = 3_600.0


class Broken(RuntimeError):
    """What a node raises that is killed."""


async def _raise() -> Any:
    raise Broken


async def _hang() -> Any:
    await asyncio.Event().wait()


async def _cancel() -> Any:
    raise asyncio.CancelledError


async def _swallow() -> Any:
    for _ in range(2):
        try:
            await asyncio.Event().wait()
        except asyncio.CancelledError:
            continue


async def _junk() -> Any:
    return ["no", "update"]


async def _allocate() -> Any:
    return {"junk": bytearray(ALLOCATED)}


async def _later() -> None:
    _shift(HOUR)


async def _earlier() -> None:
    _shift(-HOUR)


def _shift(seconds: float) -> None:
    """Set this process's clock; only a trial's own process does that."""
    real = time.time
    time.time = lambda: real() + seconds


INSTEAD: Final[dict[str, Callable[[], Awaitable[Any]]]] = {
    "exception": _raise,
    "hang": _hang,
    "cancel": _cancel,
    "swallow": _swallow,
    "junk": _junk,
    "low memory": _allocate,
}
"""What happens instead of the node."""

BEFORE: Final[dict[str, Callable[[], Awaitable[None]]]] = {"clock forward": _later, "clock back": _earlier}
"""What happens before it."""


def faulty(drawing: Drawing, log: Path, node: str = "", fault: str = "") -> Drawing:
    """A copy in which every node writes its name to a log when it begins, and one misbehaves.

    Args:
        drawing: The author's; not changed.
        log: A file; it outlives the process.
        node: Which one misbehaves; none if empty.
        fault: How: a key of `INSTEAD` or `BEFORE`, or "huge": its texts become very long.
    """
    made = copy.copy(drawing)
    made.nodes = {
        name: _replaced(name, spec, log, fault if name == node else "") for name, spec in drawing.nodes.items()
    }
    said, ours = words(drawing), words(made)
    ours.gatherings, ours.policies = list(said.gatherings), dict(said.policies)
    ours.coordinators = list(said.coordinators)
    return made


def _replaced(name: str, spec: Any, log: Path, fault: str) -> Any:
    function = getattr(spec.runnable, "afunc", None) or getattr(spec.runnable, "func", None)
    if function is None and not fault:
        return spec  # a graph as a node
    call = function or spec.runnable.ainvoke

    async def noted(*args: Any, **kwargs: Any) -> Any:
        with log.open("a") as file:
            file.write(f"{name}\n")
        if fault in INSTEAD:
            return await INSTEAD[fault]()
        if fault in BEFORE:
            await BEFORE[fault]()
        result = await call(*args, **kwargs)
        return _lengthened(result) if fault == "huge" else result

    if function is not None:
        functools.update_wrapper(noted, function)
    return replace(spec, runnable=node_runnable(name, noted))


def _lengthened(result: Any) -> Any:
    if not isinstance(result, dict):
        return result
    return {key: "x" * HUGE if isinstance(value, str) else value for key, value in result.items()}
