"""`interlock check`: every way in which graphs can run away, all at once."""

import argparse
import json
from collections.abc import Iterator
from dataclasses import asdict, replace
from typing import TYPE_CHECKING

from interlock.exits import HOLES
from interlock.targets import there
from interlock.terminal import line, put

if TYPE_CHECKING:
    from guards.checks.hole import Hole


def main(args: argparse.Namespace) -> int:
    """Check a target; 1 when there are holes."""
    found = _checked(there(args.target or "langgraph.json"))
    holes = [hole for holes in found.values() for hole in holes]
    if args.json:
        put(json.dumps({"graphs": list(found), "holes": [asdict(hole) for hole in holes]}))
    else:
        put("\n".join(_lines(found)))
    return HOLES if holes else 0


def _checked(target: str) -> "dict[str, list[Hole]]":
    """The holes of every graph of a target, by the graph's name."""
    from guards.checks.check import check
    from guards.drawings.load import loaded

    with loaded(target) as graphs:
        found = {graph.name: list(graph.holes) or check(graph.graph) for graph in graphs}
    return {name: [replace(hole, graph=name) for hole in holes] for name, holes in found.items()}


def _lines(found: "dict[str, list[Hole]]") -> Iterator[str]:
    for name, holes in found.items():
        yield f"{line(name)}: {_count(holes)}"
        for hole in holes:
            yield f"  {line(f'{hole.node}: {hole.problem} [{hole.rule}]', 500)}"
            yield f"    cure: {line(hole.cure, 500)}"


def _count(holes: "list[Hole]") -> str:
    return f"{len(holes)} hole{'s' if len(holes) > 1 else ''}" if holes else "no holes"
