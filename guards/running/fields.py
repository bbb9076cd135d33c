"""Fields: a value that a pydantic state cannot hold is the loss of the node that returned it.

LangGraph validates such a state when the next node or router reads it, outside of every node, where nothing catches it
and the whole run is lost. Not covered: validators over several fields, and models that are frozen.
"""

from collections.abc import Callable, Iterable, Mapping
from typing import Any

from pydantic import BaseModel, ValidationError

from guards.errors import Permanent

Fields = Mapping[str, tuple[type[BaseModel], ...]]
"""By state key: the models that read it."""


def fields_of(schemas: Iterable[Any]) -> Fields:
    """The fields that LangGraph will validate, of a drawing's schemas."""
    found: dict[str, tuple[type[BaseModel], ...]] = {}
    for schema in schemas:
        if isinstance(schema, type) and issubclass(schema, BaseModel) and _one_by_one(schema):
            for name in schema.model_fields:
                found[name] = (*found.get(name, ()), schema)
    return found


def check_fields(fields: Fields, written: Iterable[tuple[str, Any]], merged: Callable[[str, Any], Any]) -> None:
    """Look at what a node wrote as the next reader will.

    Args:
        fields: Of the drawing.
        written: Keys and values of the update.
        merged: What a key holds when its reducer has added a value.

    Raises:
        Permanent: A field cannot hold it.
    """
    for key, value in written:
        for schema in fields.get(key, ()):
            try:
                schema.__pydantic_validator__.validate_assignment(schema.model_construct(), key, merged(key, value))
            except ValidationError as error:
                kind = f"{type(value).__name__} for '{key}', which {schema.__name__} cannot hold"
                raise Permanent(f"returned {kind} ({error.errors()[0]['type']})") from error


def _one_by_one(schema: type[BaseModel]) -> bool:
    """Whether its fields can be judged without the others."""
    return not schema.__pydantic_decorators__.model_validators and not schema.model_config.get("frozen")
