"""Rule about agents that talk to each other: from four on they need a coordinator (guide: C3, B5)."""

from collections.abc import Iterator

from guards.checks.hole import Hole
from guards.drawings.drawing import Drawing
from guards.policy import Policy

FEWEST = 4
"""Agents from which on a coordinator is required."""


def no_coordinator(drawing: Drawing, policy: Policy) -> Iterator[Hole]:
    """Four or more agents that hand over to each other both ways, without one in the middle of all channels."""
    if policy.uncoordinated:
        return
    for group in circles(drawing):
        if len(group) >= FEWEST and not _has_a_middle(group, channels(drawing)):
            names = ", ".join(sorted(group))
            yield Hole(
                "no-coordinator",
                sorted(group)[0],
                f"{len(group)} agents talk to each other and nobody coordinates them: {names}",
                "let one of them hand out the work: coordinate(graph, start, boss, [workers], then=...), or let them "
                "debate(...); Policy(uncoordinated=True) allows it",
            )


def channels(drawing: Drawing) -> set[frozenset[str]]:
    """The pairs of agents of which each can hand over to the other."""
    ways = {(way.source, way.target) for way in drawing.ways if way.source != way.target}
    agents = {node.name for node in drawing.nodes.values() if not (node.cleans or node.is_handler)}
    return {frozenset(way) for way in ways if way[::-1] in ways and agents.issuperset(way)}


def circles(drawing: Drawing) -> list[set[str]]:
    """The agents that talk to each other, directly or over others."""
    groups: list[set[str]] = []
    for pair in channels(drawing):
        touching = [group for group in groups if group & pair]
        groups = [group for group in groups if group not in touching]
        groups.append(set(pair).union(*touching))
    return groups


def _has_a_middle(group: set[str], pairs: set[frozenset[str]]) -> bool:
    """Whether one of them is at an end of every channel."""
    inside = [pair for pair in pairs if pair <= group]
    return any(all(agent in pair for pair in inside) for agent in group)
