"""`interlock describe`: what a graph is, what it may do, and its limits."""

import argparse
import json
from dataclasses import asdict

from interlock.exits import HOLES
from interlock.targets import one_graph
from interlock.terminal import put, say


def main(args: argparse.Namespace) -> int:
    """Describe one graph; 1 when it cannot be loaded."""
    from guards.describe import describe, description

    with one_graph(args.graph) as one:
        if one.holes:
            say("; ".join(str(hole) for hole in one.holes))
            return HOLES
        put(json.dumps(asdict(description(one.graph, one.name))) if args.json else describe(one.graph, one.name))
    return 0
