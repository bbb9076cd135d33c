"""Callless: nodes whose code surely makes no model call and no tool call, told without running it.

Sure only when every name that the code uses is known and harmless: built-in functions, the standard
library, constants, records, functions that are callless themselves. Anything else (a value that is called, a method
that no built-in type has, a class with code of its own) leaves it unsure, which counts as a call.
"""

import ast
import builtins
import datetime
import pathlib
import re
import sys
import types
from collections.abc import Mapping
from dataclasses import is_dataclass
from typing import Any

from pydantic import BaseModel
from typing_extensions import is_typeddict

from guards.drawings.syntax import names_of, plain, tree_of
from guards.gather import Fanout
from guards.loop import Loop

FUNCTIONS = 100
"""How many functions are read for one node; more than that is unsure."""

_CONSTANTS = (str, bytes, int, float, type(None), re.Pattern, datetime.date, datetime.timedelta, pathlib.PurePath)
_METHODS = frozenset(
    name
    for kind in (str, bytes, int, float, list, tuple, set, dict, re.Pattern, re.Match, datetime.datetime)
    for name in dir(kind)
) | {"model_copy"}
_NEVER = frozenset({"eval", "exec", "compile", "__import__", "getattr", "globals", "locals", "vars"})
_UNSURE_MODULES = frozenset({"importlib", "operator", "runpy", "builtins", "sys", "inspect", "__main__"})
_CALLING = re.compile(r"a?(invoke|stream|batch|generate|predict|transform|call|run)\w*")
"""Methods of chat models, tools and chains."""


def makes_no_call(function: Any) -> bool:
    """Whether a node's code surely makes no model call and no tool call; False when nobody can tell."""
    return _callless(function, set())


def decides_quietly(router: Any) -> bool:
    """Whether a router surely makes no call: of `loop` and `gather` what their author gave them decides."""
    asked = router.until if isinstance(router, Loop) else router.over if isinstance(router, Fanout) else router
    return str(getattr(asked, "__module__", "")).startswith("guards.") or makes_no_call(asked)


def _callless(function: Any, seen: set[types.CodeType]) -> bool:
    bare = plain(function)
    if not isinstance(bare, types.FunctionType):
        return False
    if bare.__code__ in seen:
        return True  # it is being read
    seen.add(bare.__code__)
    tree = tree_of(bare) if len(seen) <= FUNCTIONS else None
    return tree is not None and _Body(bare, tree, seen).harmless()


class _Body:
    """One function and what its names stand for."""

    def __init__(self, bare: types.FunctionType, tree: ast.AST, seen: set[types.CodeType]) -> None:
        self.names = names_of(bare)
        self.tree, self.seen = tree, seen
        self.defined = {one.name for one in ast.walk(tree) if isinstance(one, (ast.FunctionDef, ast.AsyncFunctionDef))}
        self.local = {one.arg for one in ast.walk(tree) if isinstance(one, ast.arg)} | {
            one.id for one in ast.walk(tree) if isinstance(one, ast.Name) and not isinstance(one.ctx, ast.Load)
        }

    def harmless(self) -> bool:
        return all(map(self._harmless, ast.walk(self.tree)))

    def _harmless(self, step: ast.AST) -> bool:
        match step:
            case ast.Call(func=ast.Name(id=name)):
                return name not in self.local
            case ast.Call(func=ast.Attribute(value=value, attr=attr)):
                return attr in _METHODS or self._module(value) is not None
            case ast.Call(func=ast.Subscript(value=ast.Name(id=name))):  # list[int]()
                return isinstance(vars(builtins).get(name), type) and name not in self.local
            case ast.Call() | ast.Import() | ast.ImportFrom() | ast.Global() | ast.Nonlocal() | ast.ClassDef():
                return False
            case ast.Name(id=name) if name not in self.local and name not in self.defined:
                return self._known(name)
            case ast.Attribute(value=value, attr=attr):
                module = self._module(value)
                if module is None:
                    return not _CALLING.fullmatch(attr)
                return _is_standard(module.__name__) or self._safe(getattr(module, attr, None))
        return True

    def _module(self, value: ast.expr) -> types.ModuleType | None:
        """The module that an expression names."""
        if isinstance(value, ast.Attribute):
            found = getattr(self._module(value.value), value.attr, None)
        else:
            found = self.names.get(value.id) if isinstance(value, ast.Name) and value.id not in self.local else None
        return found if isinstance(found, types.ModuleType) else None

    def _known(self, name: str) -> bool:
        if name in self.names:
            return self._safe(self.names[name])
        return name in vars(builtins) and name not in _NEVER

    def _safe(self, thing: Any) -> bool:
        """Whether a global, a closure variable or a member of a module is harmless."""
        if isinstance(thing, types.ModuleType):
            return True  # its members are looked at
        if isinstance(plain(thing), types.FunctionType) and not isinstance(thing, type) and not _standard(thing):
            return _callless(thing, self.seen)
        if isinstance(thing, (list, tuple, set, frozenset, dict)):
            inner = [*thing, *thing.values()] if isinstance(thing, Mapping) else list(thing)
            return len(inner) <= FUNCTIONS and all(map(self._safe, inner))
        return isinstance(thing, _CONSTANTS) or _is_record(thing) or _standard(thing)


def _is_record(thing: Any) -> bool:
    if not isinstance(thing, type):
        return False
    record = is_typeddict(thing) or is_dataclass(thing) or hasattr(thing, "_fields")
    return record or issubclass(thing, (BaseModel, Exception))


def _standard(thing: Any) -> bool:
    """Whether it is the standard library's, a harmless built-in, or LangGraph's word for where to go next."""
    module = getattr(thing, "__module__", None) or ""
    if module == "builtins":
        return isinstance(thing, (type, types.BuiltinFunctionType)) and thing.__name__ not in _NEVER
    return module == "langgraph.types" or _is_standard(module)


def _is_standard(module: str) -> bool:
    top = module.partition(".")[0]
    return top in sys.stdlib_module_names and top not in _UNSURE_MODULES
