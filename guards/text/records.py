"""Records: read, rebuild and blank a value of a state, whatever kind of record it is."""

import dataclasses
import datetime
import decimal
import enum
import uuid
from collections.abc import Mapping
from typing import Any, Final, Literal, get_origin

from pydantic import BaseModel

WITHHELD: Final = "[withheld: it could not be cleaned]"

HARMLESS: Final = (
    *(bool, int, float, complex, decimal.Decimal, enum.Enum, uuid.UUID, type(None)),
    *(datetime.date, datetime.time, datetime.timedelta),
)
"""Types that hold no text of anybody's."""


def read(state: Any, key: str) -> Any:
    """The value of a state key, None if there is none; a state is a mapping or an object."""
    return state.get(key) if isinstance(state, Mapping) else getattr(state, key, None)


def fields(value: Any) -> dict[str, Any]:
    """The fields of a record: a pydantic model, a dataclass or a mapping with string keys; empty for anything else."""
    if isinstance(value, BaseModel):
        return {**value.__dict__, **(value.__pydantic_extra__ or {})}
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        return {field.name: getattr(value, field.name) for field in dataclasses.fields(value)}
    return dict(value) if isinstance(value, Mapping) else {}


def rebuilt(value: Any, changes: Mapping[str, Any]) -> Any:
    """The record with some fields changed; the same object when there are none."""
    if not changes:
        return value
    if isinstance(value, BaseModel):
        return value.model_copy(update=dict(changes))
    if isinstance(value, Mapping):
        return {**value, **changes}
    return dataclasses.replace(value, **changes)


def blank(value: Any) -> Any:
    """A value of the same shape that says nothing: what stands where cleaning failed."""
    if isinstance(value, str):
        return WITHHELD
    if isinstance(value, BaseModel):
        return value.model_copy(update={name: _blank_field(value, name) for name in fields(value)})
    return type(value)() if isinstance(value, (list, tuple, dict, set)) else None


def _blank_field(model: BaseModel, name: str) -> Any:
    """A literal is one of a few known words; anything else may hold what must not leave."""
    field, value = type(model).model_fields.get(name), getattr(model, name)
    known = field is not None and get_origin(field.annotation) is Literal
    return value if known or isinstance(value, HARMLESS) else blank(value)
