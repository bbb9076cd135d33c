"""Update: what a node may return. What it may not is the node's own failure, with its fallback and its reason.

LangGraph ignores a route to a node that does not exist and ends the run as a success. A result that is no update, or
that a reducer cannot add, and a second value in one step for a key without reducer, it raises outside the node, where
nothing catches it and the whole run is lost. Not covered: a reducer that fails on values of the declared type.
"""

import copy
from collections.abc import Callable, Iterator, Mapping
from typing import Annotated, Any, NotRequired, Required, get_args, get_origin

from langgraph.channels import BinaryOperatorAggregate
from langgraph.types import Command, Overwrite, Send

from guards.errors import Permanent

Reducers = Mapping[str, tuple[type | None, Callable[[Any, Any], Any]]]
"""By state key: the declared type, if it is a plain one, and the reducer."""


def reducers_of(channels: Mapping[str, Any]) -> dict[str, tuple[type | None, Callable[[Any, Any], Any]]]:
    """What a drawing's channels do with several values for one key."""
    return {
        key: (_plain(channel.ValueType), channel.operator)
        for key, channel in channels.items()
        if isinstance(channel, BinaryOperatorAggregate)
    }


def check_update(result: Any, targets: frozenset[str], reducers: Reducers, read: Callable[[str], Any]) -> None:
    """Look at what a node returned before LangGraph does.

    Args:
        result: What the node returned.
        targets: The nodes that it may route to.
        reducers: Of the graph's keys.
        read: The value that a key has now.

    Raises:
        Permanent: It is no update, routes to a node that does not exist, or a reducer cannot take it.
    """
    for part in _parts(result):
        if isinstance(part, Command):
            if part.graph is not None:
                continue
            _check_routes(part, targets)
        for key, value in _written(part):
            if key in reducers and type(value) is not reducers[key][0]:
                _try(key, value, reducers[key][1], read)


def keys_of(result: Any) -> Iterator[str]:
    """The keys of this graph's state that an update writes."""
    for part in _parts(result):
        if not (isinstance(part, Command) and part.graph is not None):
            yield from (key for key, _ in _written(part))


def _parts(result: Any) -> Any:
    several = isinstance(result, (list, tuple)) and any(isinstance(part, Command) for part in result)
    return result if several else (result,)


def _check_routes(command: Command[Any], targets: frozenset[str]) -> None:
    if not command.goto:
        return
    goto = command.goto if isinstance(command.goto, (list, tuple)) else (command.goto,)
    wanted = {step.node if isinstance(step, Send) else step for step in goto}
    if unknown := wanted - targets:
        raise Permanent(f"routes to {sorted(map(str, unknown))}, which are no nodes of this graph")


def _written(part: Any) -> Iterator[tuple[str, Any]]:
    """The keys and values of an update in any of the forms that LangGraph takes."""
    update = part.update if isinstance(part, Command) else part
    if isinstance(update, dict):
        yield from update.items()
    elif isinstance(part, Command) and isinstance(update, (list, tuple)) and all(map(_is_pair, update)):
        yield from update
    elif update is not None:
        if not getattr(type(update), "__annotations__", None):
            raise Permanent(f"returned {type(update).__name__}, which is no update: return a dict of state keys")
        yield from ((key, getattr(update, key)) for key in type(update).__annotations__ if hasattr(update, key))


def _is_pair(entry: Any) -> bool:
    return isinstance(entry, tuple) and len(entry) == 2 and isinstance(entry[0], str)


def _try(key: str, value: Any, reducer: Callable[[Any, Any], Any], read: Callable[[str], Any]) -> None:
    """A value of another type than the declared one: see whether the reducer takes it, on a copy."""
    now = read(key)
    if now is None or isinstance(value, Overwrite):
        return
    try:
        reducer(copy.copy(now), value)
    except Exception as error:
        kind = f"{type(value).__name__} for '{key}'"
        raise Permanent(f"returned {kind}, which its reducer cannot take ({type(error).__name__})") from error


def _plain(declared: Any) -> type | None:
    while get_origin(declared) in (Annotated, Required, NotRequired):
        declared = get_args(declared)[0]
    origin = get_origin(declared) or declared
    return origin if isinstance(origin, type) else None
