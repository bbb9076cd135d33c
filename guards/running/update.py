"""Update: what a node may return. What it may not is the node's own failure, with its fallback and its reason.

LangGraph ignores a route to a node that does not exist and ends the run as a success. A result that is no update, or
that a reducer cannot add, and a second value in one step for a key without reducer, it raises outside the node, where
nothing catches it and the whole run is lost. Not covered: a reducer that fails on values of the declared type.
"""

import copy
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import replace
from typing import Annotated, Any, NotRequired, Required, get_args, get_origin

from langgraph.channels import BinaryOperatorAggregate
from langgraph.types import Command, Overwrite, Send

from guards.errors import Permanent
from guards.running.width import narrowed
from guards.running.wiring import RUN
from state.guarded import Missing

NAMES = 100
"""Characters that are told of a name that a node chose."""

Reducers = Mapping[str, tuple[type | None, Callable[[Any, Any], Any]]]
"""By state key: the declared type, if it is a plain one, and the reducer."""


def reducers_of(channels: Mapping[str, Any]) -> dict[str, tuple[type | None, Callable[[Any, Any], Any]]]:
    """What a drawing's channels do with several values for one key."""
    return {
        key: (_plain(channel.ValueType), channel.operator)
        for key, channel in channels.items()
        if isinstance(channel, BinaryOperatorAggregate)
    }


def check_update(
    result: Any,
    targets: frozenset[str],
    above: Callable[[], frozenset[str]],
    reducers: Reducers,
    read: Callable[[str], Any],
) -> None:
    """Look at what a node returned before LangGraph does.

    Args:
        result: What the node returned.
        targets: The nodes that it may route to.
        above: The graphs around this one that it may send a command to.
        reducers: Of the graph's keys.
        read: The value that a key has now.

    Raises:
        Permanent: It is no update, routes to where it may not go, or a reducer cannot take it.
    """
    for part in _parts(result):
        if isinstance(part, Command):
            if part.graph is not None:
                _check_above(part, above())
                continue
            _check_routes(part, targets)
        for key, value in _written(part):
            if key in reducers and type(value) is not reducers[key][0]:
                _try(key, value, reducers[key][1], read)


def handing_up(result: Any, record: Callable[[], Any]) -> Any:
    """A command to the graph above takes the run's record along, since this graph's own state is lost with the step."""
    if isinstance(result, Command) and result.graph is not None:
        return replace(result, update=[*_written(result), (RUN, record())])
    return result


def without_key(result: Any, key: str) -> tuple[Any, list[Any]]:
    """An update without a key, and the values that it had for it."""
    if isinstance(result, dict):
        return _from_dict(result, key)
    found = [value for part in _parts(result) for name, value in _written(part) if name == key]
    return (_rest(result, key), found) if found else (result, [])


def with_key(result: Any, key: str, value: Any) -> Any:
    """An update with one value more."""
    if isinstance(result, dict):
        return {**result, key: value}
    if isinstance(result, Command):
        return replace(result, update=[*_written(result), (key, value)])
    return [*result, Command(update={key: value})]


def _from_dict(update: dict[str, Any], key: str) -> tuple[Any, list[Any]]:
    if key not in update:
        return update, []
    return {name: value for name, value in update.items() if name != key}, [update[key]]


def _rest(result: Any, key: str) -> Any:
    parts = _parts(result)
    if parts is result:
        return [_rest(part, key) for part in result]
    rest = [(name, value) for name, value in _written(result) if name != key]
    return replace(result, update=rest) if isinstance(result, Command) else dict(rest)


def narrowed_update(result: Any, cap: int | None) -> tuple[Any, tuple[Missing, ...]]:
    """An update whose command sends no more than the cap at once, and what is not started."""
    if cap is None or not isinstance(result, Command):
        return result, ()
    goto, lost = narrowed(result.goto, cap)
    return (replace(result, goto=goto), lost) if lost else (result, ())


def written(result: Any) -> Iterator[tuple[str, Any]]:
    """What an update writes to this graph's state, key by key."""
    for part in _parts(result):
        if not (isinstance(part, Command) and part.graph is not None):
            yield from _written(part)


def keys_of(result: Any) -> Iterable[str]:
    """The keys of this graph's state that an update writes."""
    return result if isinstance(result, dict) else (key for key, _ in written(result))


def merged(value: Any, reducer: tuple[type | None, Callable[[Any, Any], Any]] | None, now: Any) -> Any:
    """What a key holds after a value is written to it; `now` is not changed."""
    if isinstance(value, Overwrite):
        return value.value
    return value if reducer is None or now is None else reducer[1](copy.copy(now), value)


def _parts(result: Any) -> Any:
    several = isinstance(result, (list, tuple)) and any(isinstance(part, Command) for part in result)
    return result if several else (result,)


def _check_routes(command: Command[Any], targets: frozenset[str]) -> None:
    if not command.goto:
        return
    goto = command.goto if isinstance(command.goto, (list, tuple)) else (command.goto,)
    wanted = {step.node if isinstance(step, Send) else step for step in goto}
    if unknown := wanted - targets:
        named = ", ".join(sorted(map(str, unknown)))[:NAMES]
        raise Permanent(f"routes to {named}, which it does not declare: add_node(..., destinations=(...))")


def _check_above(command: Command[Any], above: frozenset[str]) -> None:
    if command.graph not in above:
        raise Permanent(f"sends a command to the graph '{str(command.graph)[:NAMES]}', and no such graph is around it")


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
