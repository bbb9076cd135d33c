"""Source: what a function's code says it does, without running it.

Names and constants come from its bytecode, so they are there without a source file; the rest from its syntax tree.
What cannot be seen is reported as unknown, never guessed.
"""

import ast
import types
import typing
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass, field
from typing import Any

from langgraph.types import Command, Send

from guards.drawings.built import Locals, built, literal_keys
from guards.drawings.syntax import constant, names_of, own, plain, returned, tree_of

HELPERS_FOLLOWED = 2
"""Depth to which helper functions of the same package are read too."""

BLOCKING = {
    "time": {"sleep"},
    "requests": {"get", "post", "put", "patch", "delete", "head", "request"},
    "httpx": {"get", "post", "put", "patch", "delete", "head", "request"},
    "urllib.request": {"urlopen", "urlretrieve"},
    "subprocess": {"run", "call", "check_call", "check_output"},
    "os": {"system", "wait"},
}
_PARENTS = frozenset(name.partition(".")[0] for name in BLOCKING)
_followed: ContextVar["dict[int, tuple[Any, tuple[types.FunctionType, ...]]] | None"] = ContextVar(
    "interlock_followed", default=None
)


@dataclass(frozen=True)
class Reading:
    """What a function returns, as far as its source shows.

    Attributes:
        keys: State keys in the dicts that it returns.
        sure: Every return was understood, so there are no other keys.
        gotos: Nodes named in `Command(goto=...)`.
        sends: Nodes named in `Send(...)`.
        several: It may return a list of targets.
    """

    keys: frozenset[str] = frozenset()
    sure: bool = False
    gotos: frozenset[str] = frozenset()
    sends: frozenset[str] = frozenset()
    several: bool = False


def uses(function: Any, thing: type) -> bool:
    """Whether a function, or a helper that it calls, names a class."""
    for code, names in _codes(function):
        if any(name == thing.__name__ or names.get(name) is thing for name in code.co_names + code.co_freevars):
            return True
    return thing.__name__ in str(getattr(plain(function), "__annotations__", {}).get("return", ""))


def sends(function: Any) -> bool:
    """Whether it may return `Send`."""
    return uses(function, Send)


def routes_by_command(function: Any) -> bool:
    """Whether it, or a helper that it calls, returns `Command(goto=...)` for its own graph."""
    return any(map(_routes, _functions(function)))


def likely_ends(function: Any, known: frozenset[str]) -> tuple[str, ...]:
    """The known nodes that its code names."""
    found: set[Any] = set()
    for code, names in _codes(function):
        found |= {const for const in code.co_consts if isinstance(const, str)}
        found |= {names.get(name) for name in code.co_names if isinstance(names.get(name), str)}
    return tuple(sorted(found & known))


def referenced(function: Any) -> Iterator[tuple[str, Any]]:
    """Globals and closure variables that it uses, helpers' included, with their names."""
    for code, names in _codes(function):
        for name in dict.fromkeys((*code.co_names, *code.co_freevars)):
            if name in names:
                yield name, names[name]


def blocking_calls(function: Any) -> list[str]:
    """Calls in an async function's own body that block the event loop, so that no time-out holds."""
    bare = plain(function)
    tree = tree_of(bare) if isinstance(bare, types.FunctionType) and _is_suspect(bare) else None
    if tree is None:
        return []
    awaited = {id(step.value) for step in own(tree) if isinstance(step, ast.Await)}
    calls = [step for step in own(tree) if isinstance(step, ast.Call) and id(step) not in awaited]
    return sorted({name for call in calls if (name := _blocking(call, names_of(bare)))})


def _is_suspect(function: types.FunctionType) -> bool:
    """Whether reading the source, which is slow, may find a blocking call: by the names in the bytecode."""
    used, names = function.__code__.co_names, names_of(function)
    return "invoke" in used or any(_may_block(names.get(name)) for name in used + function.__code__.co_freevars)


def _may_block(thing: Any) -> bool:
    module = thing.__name__ if isinstance(thing, types.ModuleType) else getattr(thing, "__module__", None)
    return module in BLOCKING or module in _PARENTS


def _read(function: types.FunctionType) -> Reading:
    tree = tree_of(function)
    if tree is None:
        return Reading()
    found = _Found(bare=function, built=built(tree, function))
    for step in own(tree):
        if isinstance(step, ast.Call):
            found.call(step)
    for value in returned(tree):
        found.returned(value)
    return Reading(frozenset(found.keys), found.sure, frozenset(found.gotos), frozenset(found.sends), found.several)


def read(function: Any) -> Reading:
    """Read a function's source; an empty, unsure reading when there is none."""
    bare = plain(function)
    return _read(bare) if isinstance(bare, types.FunctionType) else Reading()


def return_keys(function: Any, but: Any = None) -> frozenset[str] | None:
    """Keys of the record that its return annotation names; None when it names none, or names all of the state."""
    try:
        hint = typing.get_type_hints(plain(function)).get("return")
    except Exception:
        return None
    keys: set[str] = set()
    for part in typing.get_args(hint) if _is_union(hint) else (hint,):
        if isinstance(part, type) and part is not but and part is not dict and part is not type(None):
            keys |= set(typing.get_type_hints(part))
    return frozenset(keys) or None


def _is_union(hint: Any) -> bool:
    return typing.get_origin(hint) in (typing.Union, types.UnionType)


@contextmanager
def following_once() -> Iterator[None]:
    """Within the block the helpers of a function are looked for once, however many rules ask for them."""
    token = _followed.set({})
    try:
        yield
    finally:
        _followed.reset(token)


def _functions(function: Any) -> Iterable[types.FunctionType]:
    """The Python function itself and the helpers of its own package that it names."""
    bare, known = plain(function), _followed.get()
    if known is None:
        return _follow(bare)
    if id(bare) not in known:
        known[id(bare)] = bare, tuple(_follow(bare))
    return known[id(bare)][1]


def _follow(function: Any) -> Iterator[types.FunctionType]:
    seen: set[types.CodeType] = set()
    todo = [(function, 0)]
    while todo:
        bare, depth = todo.pop()
        if not isinstance(bare, types.FunctionType) or bare.__code__ in seen:
            continue
        seen.add(bare.__code__)
        yield bare
        if depth < HELPERS_FOLLOWED:
            names = names_of(bare)
            used = {name for code in _nested(bare.__code__) for name in code.co_names + code.co_freevars}
            helpers = (plain(names.get(name)) for name in sorted(used))
            todo += [(helper, depth + 1) for helper in helpers if _same_package(helper, bare)]


def _codes(function: Any) -> Iterator[tuple[types.CodeType, Mapping[str, Any]]]:
    """Their code and that of the functions in them, each with the names it sees."""
    for bare in _functions(function):
        names = names_of(bare)
        for code in _nested(bare.__code__):
            yield code, names


def _routes(bare: types.FunctionType) -> bool:
    codes = list(_nested(bare.__code__))
    if not any("goto" in const for code in codes for const in code.co_consts if isinstance(const, tuple)):
        return False
    tree, names = tree_of(bare), names_of(bare)
    if tree is None:
        return not any("PARENT" in code.co_names for code in codes)
    calls = [step for step in ast.walk(tree) if isinstance(step, ast.Call) and _is_call_of(step, Command, names)]
    return any(_goes(call, bare) for call in calls)


def _goes(call: ast.Call, bare: types.FunctionType) -> bool:
    """Whether a `Command` leads anywhere in its own graph."""
    words = {word.arg: word.value for word in call.keywords}
    if "graph" in words and ast.unparse(words["graph"]).endswith("PARENT"):
        return False
    return "goto" in words and constant(words["goto"], bare) not in ("", ())


def _nested(code: types.CodeType) -> Iterator[types.CodeType]:
    yield code
    for const in code.co_consts:
        if isinstance(const, types.CodeType):
            yield from _nested(const)


def _same_package(helper: Any, function: types.FunctionType) -> bool:
    if not isinstance(helper, types.FunctionType):
        return False
    return (helper.__module__ or "").partition(".")[0] == (function.__module__ or "").partition(".")[0]


@dataclass
class _Found:
    """What was found so far."""

    bare: types.FunctionType
    built: Locals
    keys: set[str] = field(default_factory=set)
    gotos: set[str] = field(default_factory=set)
    sends: set[str] = field(default_factory=set)
    sure: bool = True
    several: bool = False

    def call(self, call: ast.Call) -> None:
        """Note where a `Send` or a `Command` goes."""
        bare, names = self.bare, names_of(self.bare)
        if _is_call_of(call, Send, names) and call.args:
            self.sends |= set(_targets(call.args[0], bare))
        if _is_call_of(call, Command, names) and _goes(call, bare):
            goto = next(word.value for word in call.keywords if word.arg == "goto")
            self.gotos |= set(_targets(goto, bare))

    def returned(self, value: ast.expr | None) -> None:
        """Note the keys of one returned value."""
        names = names_of(self.bare)
        match value:
            case None | ast.Constant(value=None):
                pass
            case ast.IfExp(body=body, orelse=other):
                self.returned(body)
                self.returned(other)
            case ast.Dict(keys=keys):
                self.keys |= literal_keys(value, self.bare)
                self.sure &= all(isinstance(key, ast.Constant) for key in keys)
            case ast.Name(id=name):
                self.keys |= self.built.get(name, set())
                self.sure = False
            case ast.List() | ast.ListComp() | ast.Tuple() | ast.BoolOp():
                self.several, self.sure = True, False
            case ast.Call() if _is_call_of(value, Command, names):
                update = next((word.value for word in value.keywords if word.arg == "update"), None)
                self.returned(update)
            case ast.Call(args=[], keywords=keywords) if _makes_record(value, names):
                self.keys |= {word.arg for word in keywords if word.arg}
                self.sure &= all(word.arg for word in keywords)
            case _:
                self.sure = False


def _targets(part: ast.expr, bare: types.FunctionType) -> Iterator[str]:
    """Node names in what a `goto` or a `Send` is given, as far as they are written there."""
    match part:
        case ast.List(elts=parts) | ast.Tuple(elts=parts):
            inner = parts
        case ast.IfExp(body=body, orelse=other):
            inner = [body, other]
        case ast.ListComp(elt=element):
            inner = [element]
        case ast.Call(args=[first, *_]) if _is_call_of(part, Send, names_of(bare)):
            inner = [first]
        case _:
            inner = []
            found = constant(part, bare)
            yield from [found] if isinstance(found, str) and found else []
    for one in inner:
        yield from _targets(one, bare)


def _is_call_of(call: ast.Call, thing: type, names: Mapping[str, Any]) -> bool:
    function = call.func
    if isinstance(function, ast.Subscript):
        function = function.value
    if isinstance(function, ast.Attribute):
        return function.attr == thing.__name__
    return isinstance(function, ast.Name) and (function.id == thing.__name__ or names.get(function.id) is thing)


def _makes_record(call: ast.Call, names: Mapping[str, Any]) -> bool:
    """`dict(a=1)` or a TypedDict's call."""
    if not isinstance(call.func, ast.Name):
        return False
    made = dict if call.func.id == "dict" else names.get(call.func.id)
    return made is dict or hasattr(made, "__total__")


def _blocking(call: ast.Call, names: Mapping[str, Any]) -> str:
    """The name of a call that blocks, else nothing."""
    function = call.func
    if isinstance(function, ast.Name):
        target = names.get(function.id)
        module = getattr(target, "__module__", None) or ""
        return f"{function.id}()" if function.id in BLOCKING.get(module, ()) else ""
    if not isinstance(function, ast.Attribute):
        return ""
    if function.attr == "invoke" and call.args:
        return f"{ast.unparse(function)}()"
    module = getattr(_resolve(function.value, names), "__name__", "")
    return f"{module}.{function.attr}()" if function.attr in BLOCKING.get(module, ()) else ""


def _resolve(part: ast.expr, names: Mapping[str, Any]) -> Any:
    if isinstance(part, ast.Name):
        return names.get(part.id)
    return getattr(_resolve(part.value, names), part.attr, None) if isinstance(part, ast.Attribute) else None
