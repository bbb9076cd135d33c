"""The shortest way out of a drawing: where an ending run goes."""

from collections import deque
from typing import Any

from langgraph.graph import END, StateGraph


def distances(builder: StateGraph[Any, Any, Any, Any]) -> dict[str, int]:
    """Steps from each node to the end, over every way that the drawing allows."""
    backwards: dict[str, set[str]] = {}
    for start, end in _ways(builder):
        backwards.setdefault(end, set()).add(start)
    found, queue = {END: 0}, deque([END])
    while queue:
        node = queue.popleft()
        for before in sorted(backwards.get(node, ())):
            if before not in found:
                found[before] = found[node] + 1
                queue.append(before)
    return found


def nearest(targets: list[str], away: dict[str, int]) -> str:
    """The target that is closest to the end."""
    return min(targets, key=lambda target: away.get(target, len(away) + 1), default="")


def _ways(builder: StateGraph[Any, Any, Any, Any]) -> set[tuple[str, str]]:
    ways = set(builder._all_edges)
    for source, branches in builder.branches.items():
        for branch in branches.values():
            ways |= {(source, end) for end in (branch.ends or {}).values()}
    for name, spec in builder.nodes.items():
        ways |= {(name, end) for end in spec.ends or ()}
    return ways
