"""Ways: the few graph algorithms that the checks stand on. They know names and ways, nothing of LangGraph."""

import graphlib
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Protocol, TypeVar


class Step(Protocol):
    """One directed way."""

    @property
    def source(self) -> str: ...  # noqa: D102
    @property
    def target(self) -> str: ...  # noqa: D102


AnyStep = TypeVar("AnyStep", bound=Step)
Next = Mapping[str, list[str]]


def onward(ways: Iterable[AnyStep], leave_out: Callable[[AnyStep], bool] = lambda way: False) -> dict[str, list[str]]:
    """Targets by source, sorted."""
    found: dict[str, set[str]] = {}
    for way in ways:
        if not leave_out(way):
            found.setdefault(way.source, set()).add(way.target)
    return {source: sorted(targets) for source, targets in sorted(found.items())}


def backward(after: Next) -> dict[str, list[str]]:
    """The same ways the other way round."""
    found: dict[str, list[str]] = {}
    for source, targets in after.items():
        for target in targets:
            found.setdefault(target, []).append(source)
    return found


def trail(after: Next, start: str, stop: Callable[[str], bool] = lambda node: False) -> dict[str, str]:
    """Each node that can be reached and the one before it on a shortest way; nodes where `stop` holds lead nowhere."""
    before: dict[str, str] = {}
    queue = deque([start])
    while queue:
        node = queue.popleft()
        if node != start and stop(node):
            continue
        for target in after.get(node, ()):
            if target not in before:
                before[target] = node
                queue.append(target)
    return before


def way_to(before: Mapping[str, str], start: str, end: str) -> list[str]:
    """The nodes of the way that `trail` found, both ends included; from a node to itself it is a cycle."""
    nodes = [end, before[end]]
    while nodes[-1] != start:
        nodes.append(before[nodes[-1]])
    return nodes[::-1]


def cycles(after: Next, start: str) -> Iterator[tuple[list[str], list[str]]]:
    """Every cycle that needs a bound of its own: a shortest one through its head, and the other nodes it is mixed with.

    The head is the node nearest to `start`; the ways back to it are then taken as cut, which leaves inner cycles to be
    found by themselves.
    """
    left = {source: list(targets) for source, targets in after.items()}
    depth = _depths(trail(after, start), start)
    while (some := _any_on_cycle(left)) is not None:
        knot = _knot(left, some)
        head = min(knot, key=lambda node: (depth.get(node, len(depth) + 1), node))
        cycle = way_to(trail(left, head), head, head)
        yield cycle, sorted(knot.difference(cycle))
        for node in knot:
            left[node] = [target for target in left.get(node, ()) if target != head]


def _any_on_cycle(after: Next) -> str | None:
    try:
        graphlib.TopologicalSorter(after).prepare()
    except graphlib.CycleError as error:
        return str(error.args[1][0])
    return None


def _knot(after: Next, node: str) -> set[str]:
    """All nodes that lie on a cycle with this one."""
    return ({node} | set(trail(after, node))) & ({node} | set(trail(backward(after), node)))


def _depths(before: Mapping[str, str], start: str) -> dict[str, int]:
    depth = {start: 0}
    for node in before:
        depth.setdefault(node, depth[before[node]] + 1)
    return depth
