"""Targets: where a graph is said to be, looked at before anything is imported from there."""

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from difflib import get_close_matches
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING

from interlock.exits import BadUsage

if TYPE_CHECKING:
    from guards.drawings.load import Loaded


def there(target: str) -> str:
    """The target, if there is such a file, folder or module.

    Raises:
        BadUsage: There is none.
    """
    if Path(target).exists():
        return target
    source, _, attribute = target.rpartition(":")
    if source.endswith(".py") and Path(source).is_file():
        return target
    if source and attribute and not source.endswith(".py") and _module(source.partition(".")[0]):
        return target
    if target == "langgraph.json":
        raise BadUsage("there is no langgraph.json here: name a module:graph, a file, or a folder")
    raise BadUsage(f"there is no '{target}': name a module:graph, a file.py[:graph], a langgraph.json or a folder")


@contextmanager
def one_graph(target: str) -> "Iterator[Loaded]":
    """Load one graph: a name in ./langgraph.json, or a target that holds no other one.

    Raises:
        BadUsage: There is none, or several.
    """
    from guards.drawings.load import loaded

    config = Path("langgraph.json")
    named = target.isidentifier() and not Path(target).exists() and config.is_file()
    with loaded(str(config) if named else there(target)) as graphs:
        by_name = {graph.name: graph for graph in graphs}
        yield by_name[_chosen(target if named else "", list(by_name))]


def _module(name: str) -> bool:
    """Whether a module of that name can be found from here; nothing of it is run."""
    if not name.isidentifier():
        return False
    here = str(Path.cwd())
    sys.path.insert(0, here)
    try:
        return find_spec(name) is not None
    except (ImportError, ValueError):
        return False
    finally:
        sys.path.remove(here)


def _chosen(name: str, names: list[str]) -> str:
    if not name and len(names) == 1:
        return names[0]
    if name in names:
        return name
    close = get_close_matches(name, names, 1)
    meant = f", did you mean {close[0]}?" if close else ""
    what = f"there is no graph '{name}'{meant}" if name else "there are several graphs"
    raise BadUsage(f"{what}: name one of {', '.join(names)}")
