"""Syntax: a function's Python source as a tree, and the names and constants that it sees. Nothing is run."""

import ast
import functools
import inspect
import textwrap
import types
from collections import ChainMap
from collections.abc import Iterator, Mapping
from typing import Any


def plain(function: Any) -> Any:
    """The Python function under partials, methods, decorators and callable objects."""
    for _ in range(20):
        if isinstance(function, functools.partial):
            function = function.func
        elif isinstance(function, (types.MethodType, staticmethod)):
            function = function.__func__
        elif hasattr(function, "__wrapped__"):
            function = function.__wrapped__
        elif not isinstance(function, types.FunctionType) and hasattr(type(function), "__call__"):  # noqa: B004
            inner = getattr(type(function), "__call__")  # noqa: B004, B009
            if not isinstance(inner, types.FunctionType):
                return function
            function = inner
        else:
            return function
    return function


def tree_of(function: types.FunctionType) -> ast.AST | None:
    """Its syntax tree, None when its source cannot be had."""
    try:
        tree = ast.parse(textwrap.dedent(inspect.getsource(function)))
    except (OSError, TypeError, SyntaxError, ValueError, IndentationError):
        return None
    if function.__code__.co_name != "<lambda>":
        return next(
            (step for step in ast.walk(tree) if isinstance(step, (ast.FunctionDef, ast.AsyncFunctionDef))), None
        )
    lambdas = [step for step in ast.walk(tree) if isinstance(step, ast.Lambda)]
    return lambdas[0] if len(lambdas) == 1 else None


def own(tree: ast.AST) -> Iterator[ast.AST]:
    """The nodes of a function's own body, in its order, without the functions defined in it."""
    left = [*ast.iter_child_nodes(tree)][::-1]
    while left:
        step = left.pop()
        if not isinstance(step, (ast.FunctionDef, ast.AsyncFunctionDef, ast.Lambda, ast.ClassDef)):
            yield step
            left += [*ast.iter_child_nodes(step)][::-1]


def returned(tree: ast.AST) -> list[ast.expr | None]:
    """What it returns, one expression for each return."""
    if isinstance(tree, ast.Lambda):
        return [tree.body]
    return [step.value for step in own(tree) if isinstance(step, ast.Return)]


def names_of(function: types.FunctionType) -> Mapping[str, Any]:
    """Its closure variables and globals by name."""
    cells = zip(function.__code__.co_freevars, function.__closure__ or (), strict=False)
    return ChainMap({name: _content(cell) for name, cell in cells}, function.__globals__)


def _content(cell: Any) -> Any:
    try:
        return cell.cell_contents
    except ValueError:
        return None


def constant(part: ast.expr, bare: types.FunctionType) -> Any:
    """The value of a literal, a global or a closure variable; None when it is known only at run time."""
    if isinstance(part, ast.Constant):
        return part.value
    if isinstance(part, ast.Name) and part.id not in bare.__code__.co_varnames:
        return names_of(bare).get(part.id)
    return None
