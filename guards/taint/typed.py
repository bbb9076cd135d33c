"""Typed: values that can carry no orders. A schema-typed extraction clears a text of them: what fits its type may pass.

A number, a date, a truth value, an enumeration or a record of those says only how much, when, whether or which. It can
still be false, so where it says to whom or where (a sink), it counts as somebody else's word.
"""

import datetime
import decimal
import enum
import typing
from collections.abc import Iterable
from typing import Any, Final

import typing_extensions

from guards.drawings.kinds import hints, is_union, unwrapped

DEEPEST: Final = 5
LONGEST: Final = 1_000
"""Entries of a container."""

WIDEST: Final = 2**63
"""A number beyond it could spell something."""

_NUMBERS: Final = (int, float, decimal.Decimal)
_TIMES: Final = (datetime.date, datetime.datetime, datetime.time, datetime.timedelta)
_CLOSED: Final = (bool, type(None), *_NUMBERS, *_TIMES)
_CONTAINERS: Final = (tuple, list, set, frozenset)


def free_text(kind: Any, path: str = "it", depth: int = 0) -> str:
    """Where a type can hold free text, in words; empty when it cannot."""
    kind = unwrapped(kind)
    if depth > DEEPEST:
        return f"{path} is nested too deep"
    if typing.get_origin(kind) is typing.Literal or _is_closed(kind):
        return ""
    if typing.get_origin(kind) in _CONTAINERS or is_union(kind):
        return _first(free_text(one, path, depth + 1) for one in _parts(kind))
    if not _is_record(kind):
        return f"{path} can hold free text ({getattr(kind, '__name__', kind)})"
    return _first(free_text(hint, f"'{name}'", depth + 1) for name, hint in hints(kind).items())


def matches(value: Any, kind: Any) -> bool:
    """Whether a value is of its type and no more: nothing is converted, no field is added, no subclass passes."""
    kind = unwrapped(kind)
    if is_union(kind):
        return any(matches(value, one) for one in _parts(kind))
    origin = typing.get_origin(kind)
    if origin is typing.Literal:
        return any(type(value) is type(one) and value == one for one in typing.get_args(kind))
    if _is_closed(kind):
        return type(value) is (type(None) if kind is None else kind) and _is_small(value)
    if origin in _CONTAINERS:
        return type(value) is origin and len(value) <= LONGEST and all(_matches_any(one, kind) for one in value)
    return _matches_record(value, kind)


def _matches_any(value: Any, container: Any) -> bool:
    return any(matches(value, one) for one in _parts(container))


def _matches_record(value: Any, kind: Any) -> bool:
    fields = (
        value if isinstance(value, dict) and typing_extensions.is_typeddict(kind) else getattr(value, "__dict__", None)
    )
    known = hints(kind)
    if (
        fields is None
        or (type(value) is not kind and fields is not value)
        or getattr(value, "__pydantic_extra__", None)
    ):
        return False
    return all(name in known and matches(one, known[name]) for name, one in fields.items())


def _is_small(value: Any) -> bool:
    if isinstance(value, decimal.Decimal):
        return len(value.as_tuple().digits) < 20
    return not isinstance(value, int) or abs(value) < WIDEST


def _is_closed(kind: Any) -> bool:
    return kind is None or kind in _CLOSED or (isinstance(kind, type) and issubclass(kind, enum.Enum))


def _is_record(kind: Any) -> bool:
    return isinstance(kind, type) and kind.__module__ != "builtins" and bool(hints(kind))


def _parts(kind: Any) -> Iterable[Any]:
    return [one for one in typing.get_args(kind) if one is not ...]


def _first(found: Iterable[str]) -> str:
    return next(filter(None, found), "")
