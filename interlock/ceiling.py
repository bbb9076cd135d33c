"""`interlock ceiling`: the most that a run of a graph can take, known before it starts; a gate for CI."""

import argparse
import json
from collections.abc import Iterator
from typing import TYPE_CHECKING

from interlock.exits import HOLES, BadUsage
from interlock.targets import one_graph
from interlock.terminal import put, say

if TYPE_CHECKING:
    from guards.worst_case.ceiling import Ceiling


def main(args: argparse.Namespace) -> int:
    """Show a ceiling; 1 when it is above what is allowed, or the graph cannot be loaded."""
    from guards.worst_case.ceiling import ceiling
    from guards.worst_case.ceiling_text import text

    with one_graph(args.graph) as one:
        if one.holes:
            say("; ".join(str(hole) for hole in one.holes))
            return HOLES
        try:
            found = ceiling(one.graph, model=args.model, name=one.name)
        except ValueError as error:
            raise BadUsage(str(error)) from None
    above = list(_above(found, args))
    put(json.dumps({**found.data(), "above": above}) if args.json else text(found))
    for line in above:
        say(f"above what is allowed: {line}")
    return HOLES if above else 0


def _above(found: "Ceiling", args: argparse.Namespace) -> Iterator[str]:
    from guards.worst_case.ceiling_text import shown

    allowed = {"dollars": args.max_dollars, "calls": args.max_calls, "seconds": args.max_seconds}
    for quantity, limit in allowed.items():
        value = found.of(quantity)
        if limit is not None and (value is None or value > limit):
            most = "unbounded" if value is None else f"at most {shown(quantity, value)}"
            yield f"{quantity}: {most}, allowed {shown(quantity, limit)}"
