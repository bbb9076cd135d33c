"""Built: the keys of the dicts that a function writes down, or puts together in a local variable."""

import ast
import types
from collections.abc import Iterable, Iterator

from guards.drawings.syntax import constant, own

Locals = dict[str, set[str]]
"""Keys by local variable."""


def built(tree: ast.AST, bare: types.FunctionType) -> Locals:
    """The keys that the function's body gives to the dicts in its local variables, as far as they are written there."""
    found: Locals = {}
    for step in own(tree):
        for name, keys in _given(step, bare):
            found.setdefault(name, set()).update(keys)
    return found


def literal_keys(literal: ast.Dict, bare: types.FunctionType) -> set[str]:
    """The keys of a dict display: literals, globals and closure variables."""
    return _texts((key for key in literal.keys if key is not None), bare)


def _given(step: ast.AST, bare: types.FunctionType) -> Iterator[tuple[str, set[str]]]:
    match step:
        case ast.Assign(targets=[ast.Name(id=name)], value=ast.Dict() as literal):
            yield name, literal_keys(literal, bare)
        case ast.AnnAssign(target=ast.Name(id=name), value=ast.Dict() as literal):
            yield name, literal_keys(literal, bare)
        case ast.Assign(targets=[ast.Subscript(value=ast.Name(id=name), slice=key)]):
            yield name, _texts([key], bare)
        case ast.Call(func=ast.Attribute(value=ast.Name(id=name), attr="update"), args=args, keywords=words):
            yield name, {word.arg for word in words if word.arg}
            yield from ((name, literal_keys(literal, bare)) for literal in args if isinstance(literal, ast.Dict))


def _texts(parts: Iterable[ast.expr], bare: types.FunctionType) -> set[str]:
    return {text for part in parts if isinstance(text := constant(part, bare), str)}
