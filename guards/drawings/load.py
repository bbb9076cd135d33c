"""Load: graphs by name, from a module, a file, a `langgraph.json` or a project's folder that nobody prepared.

The project's own modules are imported under their own names and forgotten afterwards; `sys.path` and `sys.modules` are
left as they were. What it prints goes to stderr. Whatever goes wrong is one hole with one clear line.
"""

import asyncio
import contextlib
import importlib
import inspect
import json
import os
import sys
import threading
import types
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, replace
from importlib.machinery import SourceFileLoader
from pathlib import Path
from typing import Any

from langgraph.graph import StateGraph

from guards.checks.hole import Hole
from guards.drawings.drawing import is_compiled
from guards.errors import Unsafe

FACTORY_SECONDS = 30.0
CONFIG_BYTES = 1_000_000
FILES_SCANNED = 2_000
FILES_LOADED = 50
FILE_BYTES = 1_000_000
MESSAGE_LENGTH = 200
PREFIX = "interlock_checked"
"""Begins the module names of files that are loaded by path."""
OURS = ("state", "nodes", "graphs", "interlock")
_SKIPPED = {"site-packages", "node_modules", "__pycache__", "tests", "test"}


@dataclass(frozen=True)
class Loaded:
    """One graph: a drawing or a compiled graph, or the reason why there is none."""

    name: str
    graph: Any = None
    holes: tuple[Hole, ...] = ()


@dataclass(frozen=True)
class _Place:
    """Where a graph is said to be; an empty attribute means every graph of the module."""

    name: str
    source: Path | str
    attribute: str


@contextmanager
def loaded(target: str) -> Iterator[list[Loaded]]:
    """Load the graphs of a target for the time of a `with` block; they are complete only inside it.

    Args:
        target: "module:attr", "file.py:attr", "file.py", a `langgraph.json`, or a folder that holds one (or, failing
            that, Python files that draw graphs).
    """
    try:
        roots, places, env = _places(target)
    except (OSError, ValueError) as error:
        yield [_failed(target, _line(error), "name a module:attr, a file.py[:attr], a langgraph.json or a folder")]
        return
    with _project(roots, env):
        yield [graph for place in places for graph in _load(place)]


def _places(target: str) -> tuple[list[Path], list[_Place], dict[str, str]]:
    if not target.strip():
        raise ValueError("the target is empty")
    path = Path(target)
    if path.is_dir() and (path / "langgraph.json").is_file():
        path = path / "langgraph.json"
    if path.is_dir():
        return [path.resolve()], _scan(path.resolve()), {}
    if path.suffix == ".json":
        return _config(path.resolve())
    source, _, attribute = (target, "", "") if path.is_file() else target.rpartition(":")
    if (source or target).endswith(".py"):
        file = Path(source or target).resolve()
        if not file.is_file():
            raise ValueError(f"there is no file {file.name} in {file.parent}")
        return [Path.cwd(), file.parent], [_Place(attribute or file.stem, file, attribute)], {}
    if not source or not attribute or not all(part.isidentifier() for part in source.split(".")):
        raise ValueError(f"there is no '{target}'")
    return [Path.cwd()], [_Place(attribute, source, attribute)], {}


def _config(path: Path) -> tuple[list[Path], list[_Place], dict[str, str]]:
    """What a `langgraph.json` says."""
    if path.stat().st_size > CONFIG_BYTES:
        raise ValueError(f"{path.name} is larger than {CONFIG_BYTES:,} bytes")
    config = json.loads(path.read_text(encoding="utf-8"))
    graphs = config.get("graphs") if isinstance(config, dict) else None
    if not isinstance(graphs, dict) or not graphs:
        raise ValueError(f'{path.name} names no graphs: "graphs": {{"name": "./file.py:graph"}}')
    root = path.parent
    local = [root / name for name in config.get("dependencies") or () if isinstance(name, str) and name.startswith(".")]
    places = [_entry(root, name, entry) for name, entry in graphs.items()]
    return [root, *(folder.resolve() for folder in local if folder.is_dir())], places, _environment(root, config)


def _entry(root: Path, name: str, entry: Any) -> _Place:
    spec = entry.get("path") if isinstance(entry, dict) else entry
    source, _, attribute = str(spec).rpartition(":")
    return _Place(name, (root / source).resolve() if source.endswith(".py") else source, attribute)


def _environment(root: Path, config: Mapping[str, Any]) -> dict[str, str]:
    """The project's variables, without which many projects cannot be imported."""
    env = config.get("env") or {}
    if isinstance(env, dict):
        return {str(name): str(value) for name, value in env.items()}
    try:
        from dotenv import dotenv_values
    except ImportError:
        return {}
    return {name: value for name, value in dotenv_values(root / str(env)).items() if value is not None}


def _scan(root: Path) -> list[_Place]:
    """Python files of a folder that draw graphs."""
    found: list[Path] = []
    for seen, path in enumerate(sorted(root.rglob("*.py"))):
        if seen >= FILES_SCANNED or len(found) >= FILES_LOADED:
            break
        if not _is_skipped(path.relative_to(root)) and _draws(path):
            found.append(path)
    if not found:
        raise ValueError(f"{root.name} holds neither a langgraph.json nor a Python file that draws a graph")
    return [_Place(str(path.relative_to(root)), path, "") for path in found]


def _is_skipped(path: Path) -> bool:
    return any(part.startswith(".") or part in _SKIPPED for part in path.parts)


def _draws(path: Path) -> bool:
    if path.stat().st_size > FILE_BYTES:
        return False
    text = path.read_text(encoding="utf-8", errors="replace")
    return "StateGraph(" in text or "create_agent(" in text or "create_react_agent(" in text


@contextmanager
def _project(roots: list[Path], env: Mapping[str, str]) -> Iterator[None]:
    """Import as the project would, and leave the interpreter as it was."""
    path, before, variables = sys.path[:], dict(sys.modules), dict(os.environ)
    hidden = {name: sys.modules.pop(name) for name in _strangers(roots)}
    sys.modules.update(_stand_ins(roots))
    sys.path[:0] = [str(root) for root in roots]
    os.environ.update({name: value for name, value in env.items() if name not in variables})
    importlib.invalidate_caches()
    try:
        yield
    finally:
        sys.path[:] = path
        for name in [name for name, module in sys.modules.items() if before.get(name) is not module]:
            if _is_theirs(name, roots, before, hidden):
                del sys.modules[name]
        sys.modules.update(hidden)
        _restore(variables)
        importlib.invalidate_caches()


def _is_theirs(name: str, roots: list[Path], before: Mapping[str, Any], hidden: Mapping[str, Any]) -> bool:
    """Whether a new module is the project's own. Libraries stay: many cannot be imported twice."""
    top = name.partition(".")[0]
    fresh = top not in before or top in hidden
    return name in hidden or name.startswith(PREFIX) or (fresh and _is_under(sys.modules[name], roots))


def _restore(variables: Mapping[str, str]) -> None:
    for name in set(os.environ).difference(variables):
        del os.environ[name]
    for name, value in variables.items():
        if os.environ.get(name) != value:
            os.environ[name] = value


def _strangers(roots: list[Path]) -> list[str]:
    """Modules that are imported already under a name that the project uses for one of its own."""
    own = {path.stem for root in roots for path in root.glob("*.py")}
    own |= {path.name for root in roots for path in root.iterdir() if _has_python(path)}
    own -= {__package__, *sys.stdlib_module_names}
    taken = {name for name in own if name in sys.modules and not _is_under(sys.modules[name], roots)}
    return [name for name in sys.modules if name.partition(".")[0] in taken]


def _stand_ins(roots: list[Path]) -> dict[str, types.ModuleType]:
    """The project's folders without `__init__.py` that are named like packages of ours, which would win."""
    found: dict[str, types.ModuleType] = {}
    for name in OURS:
        for root in roots:
            if _has_python(root / name) and not (root / name / "__init__.py").exists() and name not in sys.modules:
                found[name] = types.ModuleType(name)
                found[name].__path__ = [str(root / name)]
    return found


def _has_python(path: Path) -> bool:
    return path.is_dir() and path.name.isidentifier() and next(path.glob("*.py"), None) is not None


def _is_under(module: Any, roots: list[Path]) -> bool:
    places = [getattr(module, "__file__", None) or "", *map(str, getattr(module, "__path__", ()))]
    return any(
        place and "site-packages" not in place and Path(place).resolve().is_relative_to(root)
        for place in places
        for root in roots
    )


def _load(place: _Place) -> list[Loaded]:
    with contextlib.redirect_stdout(sys.stderr):
        try:
            module = _module(place)
            if not place.attribute:
                return _graphs_in(module, place)
            if not hasattr(module, place.attribute):
                return [_failed(place.name, f"its module has no '{place.attribute}'", f"correct ':{place.attribute}'")]
            return [Loaded(place.name, _made(getattr(module, place.attribute)))]
        except Unsafe as error:
            holes = [replace(hole, graph=place.name) for hole in error.holes if isinstance(hole, Hole)]
            return [Loaded(place.name, holes=tuple(holes))]
        except (Exception, SystemExit) as error:
            cure = "make it importable without keys or network: build clients inside nodes; install what it needs"
            return [_failed(place.name, f"it cannot be imported: {_line(error)}", cure)]


def _module(place: _Place) -> Any:
    if isinstance(place.source, str):
        return importlib.import_module(place.source)
    if not place.source.is_file():
        raise FileNotFoundError(f"there is no file {place.source.name} in {place.source.parent.name}")
    name = "_".join((PREFIX, *place.source.with_suffix("").parts[-3:]))
    name = "".join(letter if letter.isidentifier() or letter.isdigit() else "_" for letter in name)
    loader = SourceFileLoader(name, str(place.source))
    module = sys.modules[name] = types.ModuleType(name)
    module.__file__, module.__loader__ = str(place.source), loader
    loader.exec_module(module)
    return module


def _graphs_in(module: Any, place: _Place) -> list[Loaded]:
    """Every graph at the top of a module; a drawing whose compiled graph is there too counts once."""
    from guards.guard import drawing_of

    named = {name: thing for name, thing in vars(module).items() if not name.startswith("_")}
    compiled = {name: thing for name, thing in named.items() if is_compiled(thing)}
    drawn = [drawing_of(thing) for thing in compiled.values() if hasattr(thing, "builder")]
    loose = {name: thing for name, thing in named.items() if isinstance(thing, StateGraph) and thing not in drawn}
    if not (found := {**compiled, **loose}):
        return [_failed(place.name, "no graph stands at its top level", "name a factory: file.py:build")]
    return [Loaded(name if len(found) > 1 else place.name, thing) for name, thing in found.items()]


def _made(thing: Any) -> Any:
    """A graph, or what a factory makes: plain or async, with a config or without, a context manager perhaps."""
    if is_compiled(thing) or isinstance(thing, StateGraph) or not callable(thing):
        return thing
    done: list[Any] = []
    errors: list[BaseException] = []

    def work() -> None:
        try:
            done.append(asyncio.run(asyncio.wait_for(_make(thing), FACTORY_SECONDS)))
        except BaseException as error:
            errors.append(error)

    # A thread of its own: the caller may be inside an event loop, and a factory that hangs must not hold it.
    thread = threading.Thread(target=work, daemon=True)
    thread.start()
    thread.join(FACTORY_SECONDS)
    if errors:
        raise errors[0]
    if not done:
        raise TimeoutError(f"the factory made no graph within {FACTORY_SECONDS:g} s")
    return done[0]


async def _make(factory: Any) -> Any:
    made = factory(*[{"configurable": {}}] * _wanted(factory))
    if inspect.isawaitable(made):
        made = await made
    async with contextlib.AsyncExitStack() as stack:
        if hasattr(made, "__aenter__"):
            return await stack.enter_async_context(made)
        if hasattr(made, "__enter__"):
            return stack.enter_context(made)
    return made


def _wanted(factory: Any) -> int:
    parameters = inspect.signature(factory).parameters.values()
    positional = (inspect.Parameter.POSITIONAL_ONLY, inspect.Parameter.POSITIONAL_OR_KEYWORD)
    return sum(1 for one in parameters if one.default is one.empty and one.kind in positional)


def _failed(name: str, problem: str, cure: str) -> Loaded:
    return Loaded(name, holes=(Hole("cannot-load", name, problem, cure),))


def _line(error: BaseException) -> str:
    text = " ".join(str(error).split())[:MESSAGE_LENGTH]
    return text if type(error) is ValueError else f"{type(error).__name__}: {text}"
