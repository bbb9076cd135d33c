"""Kinds: what sort of type a type is, to pydantic, to LangGraph's serializer and to a reader."""

import collections
import collections.abc as abc
import dataclasses
import datetime
import decimal
import enum
import ipaddress
import pathlib
import re
import types
import typing
import uuid
import zoneinfo
from typing import Any

import typing_extensions
from pydantic import BaseModel

CONTAINERS = (list, set, frozenset, dict, collections.deque)
"""Containers that come back as they were."""

_ABSTRACT = (abc.Sequence, abc.Mapping, abc.Iterable, abc.Collection, abc.MutableSequence, abc.MutableMapping, abc.Set)
_WRAPPERS = (typing.Annotated, typing.Required, typing.NotRequired)
_WRAPPERS_OF_EXTENSIONS = (typing_extensions.Required, typing_extensions.NotRequired, typing_extensions.ReadOnly)
_TIMES = (datetime.datetime, datetime.date, datetime.time, datetime.timedelta, datetime.timezone, zoneinfo.ZoneInfo)
_PLACES = (pathlib.Path, pathlib.PosixPath, pathlib.WindowsPath, uuid.UUID, decimal.Decimal, re.Pattern)
_ADDRESSES = tuple(
    getattr(ipaddress, f"IPv{version}{kind}") for version in (4, 6) for kind in ("Address", "Interface", "Network")
)
VALUES = frozenset((str, int, float, bool, bytes, bytearray, type(None), *_TIMES, *_PLACES, *_ADDRESSES))
"""Values that come back as they were."""


def shown(kind: Any) -> str:
    """A type as a person writes it."""
    if isinstance(kind, str):
        return kind
    if not isinstance(kind, type):
        return str(kind).replace("typing.", "")
    return kind.__qualname__ if kind.__module__ == "builtins" else f"{kind.__module__}.{kind.__qualname__}"


def hints(kind: Any) -> dict[str, Any]:
    """Fields and their types; what cannot be resolved is left out."""
    try:
        found = typing_extensions.get_type_hints(kind, include_extras=True)
    except Exception:
        found = {name: field.annotation for name, field in getattr(kind, "model_fields", {}).items()}
    return {name: hint for name, hint in found.items() if not _is_class_variable(hint)}


def unwrapped(hint: Any) -> Any:
    """The type inside `Annotated`, `Required`, `NewType` and aliases."""
    while True:
        if typing.get_origin(hint) in (*_WRAPPERS, *_WRAPPERS_OF_EXTENSIONS):
            hint = typing.get_args(hint)[0]
        elif isinstance(hint, typing.NewType):
            hint = hint.__supertype__
        elif isinstance(hint, typing_extensions.TypeAliasType):
            hint = hint.__value__
        else:
            return hint


def is_union(hint: Any) -> bool:
    """Whether it is `A | B`."""
    return typing.get_origin(hint) in (typing.Union, types.UnionType)


def is_open(hint: Any) -> bool:
    """Types that say nothing; their values are judged at run time."""
    if isinstance(hint, (typing.TypeVar, typing.ForwardRef, str, list)) or hint in (Any, None, object, ...):
        return True
    return typing.get_origin(hint) is typing.Literal


def is_managed(hint: Any) -> bool:
    """`RemainingSteps` and the like: LangGraph computes them, no checkpoint carries them."""
    from langgraph.managed.base import is_managed_value

    return any(map(is_managed_value, getattr(hint, "__metadata__", ())))


def is_safe(kind: type) -> bool:
    """Classes of LangChain's and LangGraph's that their serializer always lets through, messages among them."""
    from langgraph.checkpoint.serde._msgpack import SAFE_MSGPACK_TYPES

    return any((base.__module__, base.__name__) in SAFE_MSGPACK_TYPES for base in kind.__mro__) or (
        kind.__module__ == "numpy" and kind.__name__ == "ndarray"
    )


def is_record(kind: Any) -> bool:
    """Pydantic models, dataclasses and TypedDicts."""
    if not isinstance(kind, type):
        return False
    return issubclass(kind, BaseModel) or dataclasses.is_dataclass(kind) or typing_extensions.is_typeddict(kind)


def is_exception(kind: type) -> bool:
    """Whether it is raised."""
    return issubclass(kind, BaseException)


def is_enum(kind: type) -> bool:
    """Whether it is an enumeration."""
    return issubclass(kind, enum.Enum)


def validates(kind: type) -> bool:
    """Whether loading it checks and converts its fields."""
    return issubclass(kind, BaseModel) or hasattr(kind, "__pydantic_validator__")


def needs_leave(kind: Any) -> bool:
    """Whether the strict serializer must be told about a class before it gives it back."""
    if not isinstance(kind, type) or is_safe(kind) or typing_extensions.is_typeddict(kind):
        return False
    return is_enum(kind) or is_record(kind)


def is_abstract_container(origin: Any) -> bool:
    """`Sequence` and the like, which stand for any container."""
    return origin in _ABSTRACT


def is_parametrized(kind: type) -> bool:
    """Whether it is `Model[int]` of a generic pydantic model."""
    return bool((getattr(kind, "__pydantic_generic_metadata__", None) or {}).get("origin"))


def _is_class_variable(hint: Any) -> bool:
    return hint is typing.ClassVar or typing.get_origin(hint) is typing.ClassVar
