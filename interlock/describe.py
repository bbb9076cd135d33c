"""`interlock describe`: what a graph is, what it may do, and its limits."""

import argparse
import json
from dataclasses import asdict
from difflib import get_close_matches
from pathlib import Path

from interlock.exits import HOLES, BadUsage
from interlock.targets import there
from interlock.terminal import put, say


def main(args: argparse.Namespace) -> int:
    """Describe one graph; 1 when it cannot be loaded."""
    from guards.describe import describe, description
    from guards.load import loaded

    config = Path("langgraph.json")
    named = args.graph.isidentifier() and not Path(args.graph).exists() and config.is_file()
    with loaded(str(config) if named else there(args.graph)) as graphs:
        by_name = {graph.name: graph for graph in graphs}
        one = by_name[_chosen(args.graph if named else "", list(by_name))]
        if one.holes:
            say("; ".join(str(hole) for hole in one.holes))
            return HOLES
        put(json.dumps(asdict(description(one.graph, one.name))) if args.json else describe(one.graph, one.name))
    return 0


def _chosen(name: str, names: list[str]) -> str:
    if not name and len(names) == 1:
        return names[0]
    if name in names:
        return name
    close = get_close_matches(name, names, 1)
    meant = f", did you mean {close[0]}?" if close else ""
    what = f"there is no graph '{name}'{meant}" if name else "there are several graphs"
    raise BadUsage(f"{what}: name one of {', '.join(names)}")
