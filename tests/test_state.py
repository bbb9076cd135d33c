"""Everything that crosses an edge survives a strict msgpack round trip, and pickle is refused."""

import enum
import importlib
import pickle
import pkgutil
import typing
from collections.abc import Iterator
from typing import Any

import pytest
from langgraph.checkpoint.serde.jsonplus import JsonPlusSerializer
from pydantic import BaseModel
from typing_extensions import TypedDict, is_typeddict

import state
from guards.drawings.serializable import flaws, survives
from state.message import Message
from state.research import Question, Research, Result


def records() -> Iterator[type]:
    """Every record type of the floor."""
    for found in pkgutil.iter_modules(state.__path__):
        module = importlib.import_module(f"state.{found.name}")
        for thing in vars(module).values():
            if isinstance(thing, type) and thing.__module__ == module.__name__ and not issubclass(thing, enum.Enum):
                yield thing


RECORDS = [kind for kind in records() if is_typeddict(kind) or (issubclass(kind, BaseModel) and kind is not Message)]
"""All but the base of the others, which no state holds by itself."""

MODELS = [kind for kind in RECORDS if not is_typeddict(kind)]


PLAIN = {str: "text \N{SNOWMAN} 1", int: 7, float: 0.1 + 0.2, bool: True}


def filled(hint: Any) -> Any:
    """A value of a type with every field set to something that is not its default."""
    origin, args = typing.get_origin(hint), typing.get_args(hint)
    if origin is None:
        return PLAIN[hint] if hint in PLAIN else hint(**fields(hint))
    if origin is typing.Literal:
        return args[-1]
    if origin is dict:
        return {filled(args[0]): filled(args[1])}
    if origin in (list, tuple):
        return origin([filled(args[0])])
    return filled(next(arg for arg in args if arg is not type(None)))


def fields(kind: Any) -> dict[str, Any]:
    hints = typing.get_type_hints(kind, include_extras=True)
    return {name: filled(hint) for name, hint in hints.items() if name in getattr(kind, "model_fields", hints)}


def test_the_floor_has_records() -> None:
    assert {"Run", "Finding", "Answer", "Plan", "Draft", "Context"} <= {kind.__name__ for kind in MODELS}


@pytest.mark.parametrize("kind", RECORDS, ids=lambda kind: kind.__name__)
def test_every_record_type_is_said_to_survive(kind: type) -> None:
    assert flaws(TypedDict("State", {"key": kind})) == []


@pytest.mark.parametrize("kind", MODELS, ids=lambda kind: kind.__name__)
def test_every_record_survives_a_strict_round_trip(kind: type) -> None:
    value = filled(kind)
    assert any(getattr(value, name) != field.default for name, field in kind.model_fields.items())  # type: ignore[attr-defined]
    assert survives(value, kind) is None


@pytest.mark.parametrize("schema", [Research, Question, Result], ids=lambda schema: schema.__name__)
def test_every_key_of_the_workflow_survives_under_the_allowlist_of_its_schema(schema: type) -> None:
    for key, value in filled(schema).items():
        assert survives(value, schema) is None, key


def test_pickle_is_refused() -> None:
    serializer = JsonPlusSerializer(pickle_fallback=False)
    with pytest.raises(TypeError):
        serializer.dumps_typed(object())
    with pytest.raises(NotImplementedError):
        serializer.loads_typed(("pickle", pickle.dumps("x")))
