"""Together: which nodes can run in the same superstep, so that their writes meet."""

from collections.abc import Iterator
from itertools import combinations, product

from langgraph.graph import END, START

from guards.drawings.drawing import Drawing, Route, Way
from guards.drawings.source import read, sends
from guards.drawings.ways import onward, trail

Pair = tuple[str, str]


def pairs(drawing: Drawing) -> set[Pair]:
    """Pairs of nodes, each in order, that can run in one step; a node with itself when it is sent to several times.

    What lies before a barrier never meets what lies behind it. Two routers' choices count as possible together even
    where a condition of the author excludes it.
    """
    return _Together(drawing).pairs()


class _Together:
    def __init__(self, drawing: Drawing) -> None:
        self.drawing = drawing
        self.after = onward(drawing.ways)
        self.out: dict[str, list[Way]] = {}
        for way in drawing.ways:
            if way.target != END:
                self.out.setdefault(way.source, []).append(way)
        self.sent = {route.source: _sent(route) for route in drawing.routes}
        self._reach: dict[tuple[str, str], set[str]] = {}

    def pairs(self) -> set[Pair]:
        found: set[Pair] = set()
        todo = [pair for node in (START, *self.drawing.nodes) for pair in self._alone(node)]
        while todo:
            pair = todo.pop()
            if pair not in found and self._possible(pair):
                found.add(pair)
                todo += self._next(*pair)
        return found

    def _possible(self, pair: Pair) -> bool:
        """A deferred node waits until only deferred ones are left."""
        first, second = (self.drawing.nodes.get(name) for name in pair)
        return first is not None and second is not None and first.deferred == second.deferred

    def _alone(self, node: str) -> Iterator[Pair]:
        """What one node can start side by side."""
        for first, second in combinations(self._choices(node), 2):
            yield from (_pair(a, b) for a, b in product(first, second) if a != b)
        yield from ((name, name) for name in self.sent.get(node, ()))

    def _choices(self, node: str) -> list[list[str]]:
        """Groups of targets: one of each group may be taken, from every group."""
        groups = [[way.target] for way in self.out.get(node, ()) if way.kind in ("static", "join")]
        for route in self.drawing.routes:
            if route.source == node:
                targets = [end for end in route.targets if end != END]
                groups += [[end] for end in targets] if _several(route) else [targets]
        ends = [end for end in getattr(self.drawing.nodes.get(node), "ends", ()) if end != END]
        return [*groups, ends] if ends else groups

    def _next(self, first: str, second: str) -> Iterator[Pair]:
        """What two nodes that ran together can start."""
        for a, b in product(self._targets(first, second), self._targets(second, first)):
            if a != b or a in self.sent.get(first, ()):
                yield _pair(a, b)

    def _targets(self, node: str, beside: str) -> list[str]:
        ways = self.out.get(node, ())
        return [way.target for way in ways if way.kind != "join" or not self._still_waits(way, beside)]

    def _still_waits(self, way: Way, beside: str) -> bool:
        """Whether the barrier needs a node that comes after the one that is running now."""
        return any(
            source not in (way.source, beside) and source in self._reached(beside, way.target)
            for join in self.drawing.joins
            if join.target == way.target and way.source in join.sources
            for source in join.sources
        )

    def _reached(self, start: str, barrier: str) -> set[str]:
        if (start, barrier) not in self._reach:
            self._reach[start, barrier] = set(trail(self.after, start, lambda node: node == barrier))
        return self._reach[start, barrier]


def _pair(first: str, second: str) -> Pair:
    return (first, second) if first <= second else (second, first)


def _sent(route: Route) -> frozenset[str]:
    """Nodes that one decision of a router may start several times."""
    if route.fanout is not None:
        return frozenset(route.fanout.workers)
    if route.loop is not None or not sends(route.function):
        return frozenset()
    return read(route.function).sends or frozenset(route.targets) - {END}


def _several(route: Route) -> bool:
    """Whether it may choose more than one target at once."""
    if route.fanout is not None:
        return len(route.fanout.workers) > 1
    return route.loop is None and read(route.function).several
