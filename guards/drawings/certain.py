"""Certain: which nodes surely run when another one has run, hence which barriers can starve."""

from collections.abc import Iterable, Mapping

from guards.drawings.drawing import Drawing, Join, Route, Way
from guards.drawings.ways import onward, trail


class Certainty:
    """Follows the ways that are always taken: static edges, the exit of a loop, barriers that are sound themselves."""

    def __init__(self, drawing: Drawing) -> None:
        self.drawing = drawing
        self._sure = [way for way in drawing.ways if self._is_sure(way)]
        self._after = onward(self._sure)
        self._after_all = onward(drawing.ways)
        self._sound: dict[Join, bool] = {}

    def starving(self, join: Join) -> dict[str, str]:
        """Sources of a barrier that may not run when the others do, each with the reason."""
        firing = {node for node in ("__start__", *self.drawing.nodes) if set(join.sources) <= self.surely_after(node)}
        good = self._good(join, firing)
        return {source: self._reason(source) for source in join.sources if source not in good}

    def surely_after(self, start: str) -> set[str]:
        """Nodes that surely run when `start` has run, itself included."""
        found = {start} | set(trail(self._after, start))
        while fired := {join.target for join in self.drawing.joins if set(join.sources) <= found} - found:
            for node in fired:
                found |= {node} | set(trail(self._after, node))
        return found

    def _is_sure(self, way: Way) -> bool:
        node = self.drawing.nodes.get(way.source)
        return way.kind in ("static", "then") and not (node is not None and node.handler)

    def _good(self, join: Join, firing: set[str]) -> set[str]:
        """Nodes that run only when a node that fires the whole barrier has run: the largest such set."""
        coming: dict[str, list[Way]] = {}
        for way in self.drawing.ways:
            if not self._harmless(way, join):
                coming.setdefault(way.target, []).append(way)
        good = {"__start__", *self.drawing.nodes}
        while bad := {node for node in good - firing if not self._brought(node, coming.get(node, []), good)}:
            good -= bad
        return good

    def _brought(self, node: str, ways: list[Way], good: set[str]) -> bool:
        sure = set(self._sure)
        return bool(ways) and all((way in sure or way.kind == "join") and way.source in good for way in ways)

    def _harmless(self, way: Way, join: Join) -> bool:
        """The way back of a loop that lies whole before the barrier: however often it is taken, it exits once."""
        if way.kind != "back":
            return False
        body = loop_body(self._after_all, way.source, way.target)
        return not body.intersection(join.sources)

    def _reason(self, source: str) -> str:
        node = self.drawing.nodes.get(source)
        if node is not None and node.handler:
            return "its error handler replaces the edge to the barrier"
        kinds = {way.kind for way in self.drawing.ways if way.target == source}
        if not kinds:
            return "nothing leads to it"
        if kinds & {"route", "fan-out"}:
            return "it runs only when a router chooses it"
        return (
            "it runs only when a Command chooses it" if "command" in kinds else "it does not run whenever the others do"
        )


def loop_body(after: Mapping[str, list[str]], source: str, back_to: str) -> set[str]:
    """The nodes between the start of a loop and its router."""
    if source == back_to:
        return {source}
    forth = {back_to} | set(trail(after, back_to, lambda node: node == source))
    backwards: dict[str, list[str]] = {}
    for before, targets in after.items():
        for target in targets:
            backwards.setdefault(target, []).append(before)
    return forth & ({source} | set(trail(backwards, source, lambda node: node == back_to)))


def loops(routes: Iterable[Route]) -> list[Route]:
    """The routers that `loop` made."""
    return [route for route in routes if route.loop is not None]
