"""Targets: where a graph is said to be, looked at before anything is imported from there."""

import sys
from importlib.util import find_spec
from pathlib import Path

from interlock.exits import BadUsage


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
