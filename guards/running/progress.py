"""Progress: whether a round of a loop brought anything that no round before it did (guide: C7, "endless transitions").

What counts: every state key but the run's record. A list that grew is compared by what the last round added to it;
other values as they are. Left out is what differs though nothing was said: the trace id and time of our records, the
ids and usage of LangChain's messages. Not covered: a state of more than `VALUES` values, or one whose objects cannot be
told apart by their content; such a loop ends at its limit.
"""

import dataclasses
import hashlib
from collections.abc import Iterable, Iterator, Mapping
from typing import Any, Final

from pydantic import BaseModel

from state.guarded import Progress

VALUES: Final = 20_000
"""Values of a state that are looked at."""

DEPTH: Final = 50
ROUNDS_KEPT: Final = 100
"""Rounds of one loop that are remembered, the latest."""

STAMPS: Final = frozenset({"trace_id", "at"})
"""Fields of our records that differ though nothing else does."""

SPOKEN: Final = ("type", "content", "name")
"""What a message of LangChain's says, beside its calls."""


class TooMuch(Exception):
    """The state is too large to compare."""


def compared(state: Any, seen: Progress) -> Progress | None:
    """What was seen, with this round's state added; None when the state cannot be compared.

    Args:
        state: The state after the round: a mapping, a record, or anything else.
        seen: What the rounds before it left.
    """
    held = dict(_held(state))
    lengths = {key: len(value) for key, value in held.items() if isinstance(value, list)}
    added = {key: _added(value, seen.lengths.get(key, 0)) for key, value in held.items()}
    try:
        digest = _digest(added)
    except TooMuch:
        return None
    return Progress(digests=(*seen.digests, digest)[-ROUNDS_KEPT:], lengths=lengths)


def standstill(progress: Progress) -> str:
    """Why the last round was none, in a few words; empty when it brought something new."""
    *before, last = progress.digests
    if last not in before:
        return ""
    rounds = len(progress.digests)
    earlier = before.index(last) + 1
    return f"round {rounds} changed nothing" if earlier == rounds - 1 else f"round {rounds} repeats round {earlier}"


def _held(state: Any) -> Iterator[tuple[str, Any]]:
    """The state's keys and values, without the record of the run."""
    items = state.items() if isinstance(state, Mapping) else _fields(state) or [("state", state)]
    return ((str(key), value) for key, value in items if key != "run")


def _added(value: Any, before: int) -> Any:
    return value[before:] if isinstance(value, list) and len(value) > before else value


def _digest(value: Any) -> str:
    sum_, left = hashlib.blake2b(digest_size=8), VALUES
    for piece in _pieces(value, DEPTH):
        left -= 1
        if left < 0:
            raise TooMuch
        sum_.update(piece.encode("utf-8", "surrogatepass"))
        sum_.update(b"\0")
    return sum_.hexdigest()


def _pieces(value: Any, depth: int) -> Iterator[str]:
    """The value as texts, the same for equal values."""
    if depth <= 0:
        raise TooMuch
    yield type(value).__name__
    if isinstance(value, (str, bytes, int, float, bool, type(None))):
        yield str(value)
    elif isinstance(value, (set, frozenset)):
        yield from sorted(_digest(each) for each in value)
    elif isinstance(value, (list, tuple)):
        for each in value:
            yield from _pieces(each, depth - 1)
    elif isinstance(value, Mapping):
        yield from _members(value.items(), depth)
    elif (fields := _fields(value)) is not None:
        yield from _members(fields, depth)
    else:
        yield repr(value)


def _members(items: Iterable[tuple[Any, Any]], depth: int) -> Iterator[str]:
    for key, value in items:
        yield str(key)
        yield from _pieces(value, depth - 1)


def _fields(value: Any) -> list[tuple[str, Any]] | None:
    """The fields of a record that say something; None when it is none."""
    if isinstance(value, BaseModel):
        return _said(value) if hasattr(value, "additional_kwargs") else _own(value)
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        return [(field.name, getattr(value, field.name)) for field in dataclasses.fields(value)]
    return None


def _own(record: BaseModel) -> list[tuple[str, Any]]:
    return [(name, value) for name, value in record.__dict__.items() if name not in STAMPS]


def _said(message: Any) -> list[tuple[str, Any]]:
    """Of a message of LangChain's what it says and calls, without ids."""
    calls = [(call.get("name"), call.get("args")) for call in getattr(message, "tool_calls", ()) or ()]
    return [*((name, getattr(message, name, None)) for name in SPOKEN), ("calls", calls)]
