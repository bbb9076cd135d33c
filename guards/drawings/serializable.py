"""Serializable: which state a checkpoint gives back as it was, judged by type before a run and by value in tests.

The rules were measured with LangGraph's strict msgpack serializer, without its pickle fallback (guide: F1). A record
that validates itself (pydantic) is rebuilt from its plain data, so tuples, sets and enums in it are safe; the same
types bare in the state are not. Not covered: integers beyond 64 bits, `Any`, and what a model serializes by functions
of its own; `survives` finds those by value.
"""

import dataclasses
import datetime
import enum
import sys
import typing
from collections.abc import Collection, Iterator
from typing import Any

import typing_extensions
from pydantic import SecretBytes, SecretStr

from guards.drawings import kinds

DEPTH = 30
"""Levels of nesting that are looked into."""

_KEYS = (str, int, float, bool, bytes, type(None), tuple)
_KEYS_OF_RECORDS = (*_KEYS, enum.Enum, datetime.date, datetime.time)
_PLAIN = "use a pydantic record or plain data; make clients, locks and streams inside the node"


@dataclasses.dataclass(frozen=True)
class Flaw:
    """A place in a state schema that does not survive. `path` reads "State.plan.when: threading.Lock"."""

    path: str
    problem: str
    cure: str


def flaws(schema: Any, skip: Collection[str] = ()) -> list[Flaw]:
    """Every place in a schema whose value a checkpoint would refuse, or give back changed.

    Args:
        schema: A TypedDict, dataclass or pydantic model as LangGraph takes it.
        skip: Keys that are not stored.
    """
    walk, name = _Walk(), getattr(schema, "__name__", str(schema))
    fields = kinds.hints(schema) if isinstance(schema, type) else {}
    if not fields:
        return list(walk.visit(schema, name, False))
    stored = [(key, hint) for key, hint in fields.items() if key not in skip and not kinds.is_managed(hint)]
    # Every key is stored by itself; a pydantic state converts it again whenever a node reads it.
    rebuilt = kinds.validates(schema)
    return [flaw for key, hint in stored for flaw in walk.visit(hint, f"{name}.{key}", rebuilt)]


class _Walk:
    """Goes through the types of one schema. `rebuilt`: the place is in a record that validates what it loads."""

    def __init__(self) -> None:
        self._seen: set[tuple[type, bool]] = set()

    def visit(self, hint: Any, path: str, rebuilt: bool) -> Iterator[Flaw]:
        hint = kinds.unwrapped(hint)
        if path.count(".") > DEPTH or kinds.is_open(hint):
            return
        origin = typing.get_origin(hint)
        if kinds.is_union(hint):
            for arg in typing.get_args(hint):
                yield from self.visit(arg, path, rebuilt)
        elif origin is not None and not kinds.is_record(origin):
            yield from self._generic(origin, typing.get_args(hint), path, rebuilt)
        elif isinstance(hint, type):
            yield from self._class(hint, path, rebuilt)
        else:
            yield _flaw(path, hint, "cannot be stored", _PLAIN)

    def _generic(self, origin: Any, args: tuple[Any, ...], path: str, rebuilt: bool) -> Iterator[Flaw]:
        if origin in kinds.VALUES or (kinds.is_safe(origin) and origin not in kinds.CONTAINERS):
            return
        if issubclass(origin, (tuple, *kinds.CONTAINERS)):
            yield from self._container(origin, path, rebuilt)
            keys = args[:1] if issubclass(origin, dict) else ()
            for key in keys:
                yield from self._key(key, f"{path} (key)", rebuilt)
            for arg in args[len(keys) :]:
                yield from self.visit(arg, f"{path}[]", rebuilt)
        elif kinds.is_abstract_container(origin):
            yield from self._abstract(origin.__name__, args, path, rebuilt)
        else:
            yield _flaw(path, f"{origin.__name__}[...]", "cannot be stored", _PLAIN)

    def _abstract(self, name: str, args: tuple[Any, ...], path: str, rebuilt: bool) -> Iterator[Flaw]:
        """LangGraph does not look into `Sequence[Record]`, so it does not let the record back in."""
        for record in () if rebuilt else filter(kinds.needs_leave, args):
            problem = f"does not let {record.__name__} back in: it comes back as a dict in strict mode"
            yield _flaw(path, f"{name}[{record.__name__}]", problem, "name the built-in type: list[...] or dict[...]")
        for arg in args:
            yield from self.visit(arg, f"{path}[]", rebuilt)

    def _container(self, kind: type, path: str, rebuilt: bool) -> Iterator[Flaw]:
        if rebuilt or kind in kinds.CONTAINERS:
            return
        if issubclass(kind, tuple):
            cure = "use list[...], or a pydantic record, which makes it a tuple again"
            yield _flaw(path, kind, "comes back as a list", cure)
        else:
            base = next(base for base in kind.__mro__ if base in kinds.CONTAINERS).__name__
            yield _flaw(path, kind, f"comes back as a plain {base}", f"use {base}[...]")

    def _key(self, hint: Any, path: str, rebuilt: bool) -> Iterator[Flaw]:
        hint = kinds.unwrapped(hint)
        kind = typing.get_origin(hint) or hint
        if not isinstance(kind, type) or kind is object:
            return
        fine = issubclass(kind, _KEYS_OF_RECORDS if rebuilt else _KEYS)
        if not fine or (kinds.is_enum(kind) and not rebuilt):
            yield _flaw(path, kind, "does not come back as a key of that type", "use str keys")

    def _class(self, kind: type, path: str, rebuilt: bool) -> Iterator[Flaw]:
        known = (kind, rebuilt) in self._seen or ((kind, False) in self._seen and not kinds.is_safe(kind))
        if kind in kinds.VALUES or known:
            return
        if issubclass(kind, (SecretStr, SecretBytes)):
            yield _flaw(path, kind, "is stored in clear in every checkpoint", "keep secrets in the run's context")
        elif kinds.is_record(kind) or kinds.is_enum(kind):
            self._seen.add((kind, rebuilt))
            yield from self._named(kind, path, rebuilt)
        elif kinds.is_exception(kind):
            yield _flaw(path, kind, "comes back as a str", "store what matters of it: a status and a reason")
        elif issubclass(kind, tuple) and hasattr(kind, "_fields"):
            yield from _named_tuple(kind, path, rebuilt)
        elif issubclass(kind, (tuple, *kinds.CONTAINERS)):
            yield from self._container(kind, path, rebuilt)
        else:
            yield from _foreign(kind, path, rebuilt)

    def _named(self, kind: type, path: str, rebuilt: bool) -> Iterator[Flaw]:
        """Records and enums: stored by the names of their module and class."""
        if kinds.is_safe(kind):
            yield from _subclassed(kind, path) if rebuilt else ()
            return
        if not typing_extensions.is_typeddict(kind):
            yield from _unfindable(kind, path, rebuilt)
        if kinds.is_record(kind):
            yield from _record(kind, path)
            for name, hint in kinds.hints(kind).items():
                yield from self.visit(hint, f"{path}.{name}", rebuilt or kinds.validates(kind))


def _named_tuple(kind: type, path: str, rebuilt: bool) -> Iterator[Flaw]:
    if not rebuilt:
        yield _flaw(path, kind, "comes back as a dict in strict mode", "use a frozen pydantic record")


def _foreign(kind: type, path: str, rebuilt: bool) -> Iterator[Flaw]:
    """A class that is no record: a subclass of a value, something pydantic can rebuild, or a live object."""
    base = next((base for base in kind.__mro__[1:] if base in kinds.VALUES), None)
    if kinds.is_safe(kind) or (rebuilt and (base or hasattr(kind, "__get_pydantic_core_schema__"))):
        return
    if base is not None:
        yield _flaw(path, kind, f"comes back as {base.__name__}", f"use {base.__name__}")
    else:
        yield _flaw(path, kind, "cannot be stored", _PLAIN)


def _unfindable(kind: type, path: str, rebuilt: bool) -> Iterator[Flaw]:
    module = sys.modules.get(kind.__module__)
    if not rebuilt and getattr(module, kind.__name__, None) is not kind and not kinds.is_parametrized(kind):
        problem = "comes back as plain data: it is not at the top level of its module"
        yield _flaw(path, kind, problem, "move the class to the top level of a module that can be imported")


def _record(kind: type, path: str) -> Iterator[Flaw]:
    """What a record loses when it is rebuilt from its fields."""
    if not typing_extensions.is_typeddict(kind):
        yield from _subclassed(kind, path)
    if kinds.validates(kind):
        yield from _model(kind, path)
    elif dataclasses.is_dataclass(kind) and any(not field.init for field in dataclasses.fields(kind)):
        yield _flaw(path, kind, "comes back as a dict: it has a field with init=False", "take that field out")


def _subclassed(kind: type, path: str) -> Iterator[Flaw]:
    subclasses: list[type] = type.__subclasses__(kind)
    below = sorted(sub.__name__ for sub in subclasses if not kinds.is_parametrized(sub))
    if below:
        problem = f"loses its subclass: a {below[0]} comes back as {kind.__name__} or as a dict, without its own fields"
        yield _flaw(path, kind, problem, f"name the classes themselves: {' | '.join((kind.__name__, *below[:2]))}")


def _model(kind: Any, path: str) -> Iterator[Flaw]:
    """What a pydantic model loses."""
    config = getattr(kind, "model_config", {})
    by_name = config.get("populate_by_name") or config.get("validate_by_name")
    for name, field in getattr(kind, "model_fields", {}).items():
        if field.exclude:
            yield _flaw(f"{path}.{name}", kind, "does not store it: exclude=True", "take out exclude, or the field")
        if (field.alias or field.validation_alias) and not by_name:
            cure = "model_config = ConfigDict(populate_by_name=True)"
            yield _flaw(f"{path}.{name}", kind, "does not find it again under its alias", cure)
    if getattr(kind, "__private_attributes__", None):
        yield _flaw(path, kind, "loses its private attributes", "make them fields, or take them out of the state")
    if config.get("strict"):
        yield _flaw(path, kind, "is rebuilt from plain data, which strict=True refuses", "take out strict=True")


def _flaw(path: str, kind: Any, problem: str, cure: str) -> Flaw:
    return Flaw(f"{path}: {kinds.shown(kind)}", f"{kinds.shown(kind)} {problem}", cure)


def survives(value: Any, schema: Any = None) -> str | None:
    """Put a value through LangGraph's strict serializer, without pickle, and compare.

    Args:
        value: Anything.
        schema: The type that the state declares for it; the value's own class if not given.

    Returns:
        None when it came back equal in value and type, else the path to what changed and how.
    """
    from langgraph._internal._serde import build_serde_allowlist
    from langgraph.checkpoint.serde.jsonplus import JsonPlusSerializer

    allowed = build_serde_allowlist(schemas=[type(value) if schema is None else schema])
    serializer = JsonPlusSerializer(pickle_fallback=False, allowed_msgpack_modules=allowed)
    try:
        back = serializer.loads_typed(serializer.dumps_typed(value))
    except Exception as error:
        return f"{type(value).__name__}: refused, {type(error).__name__}: {error}"
    return next(_differences(value, back, type(value).__name__), None)


def _differences(value: Any, back: Any, path: str) -> Iterator[str]:
    if type(value) is not type(back):
        yield f"{path}: {type(value).__name__} came back as {type(back).__name__}"
        return
    inner = list(_inner(value, back))
    for name, one, other in inner:
        yield from _differences(one, other, f"{path}{name}")
    if not inner and value != back and value == value:
        yield f"{path}: its value changed"


def _inner(value: Any, back: Any) -> Iterator[tuple[str, Any, Any]]:
    """The parts of two values of one type, side by side; none when they differ as a whole."""
    if isinstance(value, dict):
        for key, other in zip(value, back, strict=False) if len(value) == len(back) else ():
            yield from ((f" key {key!r}", key, other), (f"[{key!r}]", value[key], back[other]))
    elif isinstance(value, (list, tuple)):
        if len(value) == len(back):
            pairs = zip(value, back, strict=True)
            yield from ((f"[{place}]", one, other) for place, (one, other) in enumerate(pairs))
    elif kinds.is_record(type(value)):
        names = [*kinds.hints(type(value)), *(getattr(value, "__pydantic_private__", None) or {})]
        yield from ((f".{name}", getattr(value, name, None), getattr(back, name, None)) for name in names)
