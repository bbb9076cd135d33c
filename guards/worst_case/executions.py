"""Executions: how often each node of a drawing can run at most, attempts not counted.

A node that is triggered from several sides in one superstep runs once in it, so what counts is in how many supersteps
of one pass it can be triggered: rounds of the loops around it times that, times the width of what is sent to it. Two
bounds hold for the number of supersteps, and the lower one is taken: the tokens that reach the node when each way
carries its own (a router that takes one way carries one), and the different lengths of the ways to it.
"""

from collections.abc import Iterator, Mapping

from langgraph.graph import END, START

from guards.drawings.drawing import Drawing, Route, Way
from guards.drawings.source import read, sends
from guards.drawings.ways import onward, trail
from guards.loop import Loop
from guards.policy import Policy
from guards.worst_case.steps import bodies_of, order_of, rounds_of

Length = tuple[frozenset[str], int]
"""What of uncertain length lies behind a token, and how many steps it took besides."""

LENGTHS = 64
"""How many different lengths are told apart; more count as one token for each way."""


def executions(drawing: Drawing, policy: Policy) -> dict[str, int | None]:
    """The most executions of each node in a run, by name; None without a bound.

    Assumed, as the checks demand it: cycles are drawn with `loop`, and what is sent is seen in the source.
    """
    nodes = [name for name, node in drawing.nodes.items() if not node.is_handler]
    after = onward(drawing.ways, lambda way: way.kind == "back")
    order = order_of(after)
    if order is None:
        return dict.fromkeys(nodes)
    flow = _Flow(drawing, policy, order)
    widths, bodies = flow.widths(), bodies_of(drawing)
    endless = {node for body, loop in bodies if not flow.returns_alone(loop, widths) for node in body}
    endless |= {end for node in endless for end in trail(after, node)}
    several = flow.passes(START)
    if _nested(bodies):
        for body, backs, passed in _rounds_again(flow, bodies, policy, several):
            several |= {node: several.get(node, 0) + backs * passed.get(node, 0) for node in body}
    else:
        for body, loop in bodies:
            several |= {node: max(1, several.get(node, 0)) * rounds_of(loop, policy) for node in body}
    return {node: None if node in endless else _times(widths.get(node), several.get(node, 0)) for node in nodes}


def _nested(bodies: list[tuple[set[str], Loop]]) -> bool:
    """Whether every two loops lie inside each other, or apart."""
    return all(
        a < b or b < a or a.isdisjoint(b) for number, (a, _) in enumerate(bodies) for b, _ in bodies[number + 1 :]
    )


def _rounds_again(
    flow: "_Flow", bodies: list[tuple[set[str], Loop]], policy: Policy, first: dict[str, int]
) -> Iterator[tuple[set[str], int, dict[str, int]]]:
    """Each loop, the outer ones first: its body, how often it goes back, and what runs how often in one more round."""
    outer: list[tuple[set[str], int, dict[str, int]]] = []
    for body, loop in sorted(bodies, key=lambda one: -len(one[0])):
        around = sum(backs * passed.get(loop.source, 0) for one, backs, passed in outer if body < one)
        backs = (rounds_of(loop, policy) - 1) * (first.get(loop.source, 0) + around)
        outer.append((body, backs, flow.passes(loop.back_to)))
    yield from outer


class _Flow:
    """Tokens on their way through a drawing without its ways back."""

    def __init__(self, drawing: Drawing, policy: Policy, order: list[str]) -> None:
        self.drawing, self.policy, self.order = drawing, policy, order
        self.sent = [(route, ends) for route in drawing.routes if (ends := _sent_to(route))]
        self.wide = {end for _, ends in self.sent for end in ends}
        self.coming: dict[str, list[Way]] = {}
        self.leading: dict[str, list[list[str]]] = {}
        for way in drawing.ways:
            if way.kind != "back":
                self.coming.setdefault(way.target, []).append(way)
        for name in order:
            self.leading[name] = list(self._groups(name))

    def passes(self, start: str) -> dict[str, int]:
        """In how many supersteps each node can be triggered when `start` runs once and no way back is taken."""
        lengths = self._lengths(start)
        return {node: min(self._tokens(start, node), len(of) if of else LENGTHS) for node, of in lengths.items()}

    def widths(self) -> dict[str, int | None]:
        """How many executions of each node one superstep can hold."""
        found: dict[str, int | None] = {START: 1}
        for node in self.order:
            several = [
                _times(found.get(route.source, 1), self._cap(route)) for route, ends in self.sent if node in ends
            ]
            found[node] = None if None in several else max(1, sum(width or 0 for width in several))
        return found

    def returns_alone(self, loop: Loop, widths: Mapping[str, int | None]) -> bool:
        """Whether one token goes round: several would share one count of rounds and keep it from ending."""
        return self.passes(loop.back_to).get(loop.source, 0) <= 1 and widths.get(loop.source) == 1

    def _cap(self, route: Route) -> int | None:
        return route.fanout.at_most if route.fanout is not None else self.policy.fan_out

    def _tokens(self, start: str, end: str) -> int:
        """The most tokens that reach `end`, each way carrying its own."""
        found = {end: 1}
        for node in reversed(self.order[: self.order.index(end)] if end in self.order else self.order):
            found[node] = sum(max(found.get(target, 0) for target in group) for group in self.leading[node])
        return found.get(start, 0)

    def _groups(self, source: str) -> Iterator[list[str]]:
        """Where a node's run leads: one target of each group."""
        for route in (route for route in self.drawing.routes if route.source == source):
            ends = [end for end in route.targets if route.loop is None or end == route.loop.then]
            yield from [ends] if ends and self._chooses(route) else [[end] for end in ends]
        for way in self.drawing.ways:
            if way.source == source and (way.kind in ("static", "command") or self._first(way)):
                yield [way.target]

    def _chooses(self, route: Route) -> bool:
        """Whether it takes one way at a time."""
        if route.loop is not None or route.fanout is not None:
            return route.source not in self.wide
        return route.source not in self.wide and not _sent_to(route) and not read(route.function).several

    def _first(self, way: Way) -> bool:
        """A barrier fires no oftener than any one of its sources runs."""
        return way.kind == "join" and any(
            join.target == way.target and join.sources[0] == way.source for join in self.drawing.joins
        )

    def _lengths(self, start: str) -> dict[str, set[Length] | None]:
        """The lengths of the ways from `start` to each node that it leads to; None: too many."""
        found: dict[str, set[Length] | None] = {start: {(frozenset(), 0)}}
        for node in self.order:
            coming = [way for way in self.coming.get(node, ()) if way.source in found]
            if node == start or not coming:
                continue
            behind = [self._onward(way, found[way.source]) for way in coming]
            lengths = None if None in behind else set[Length]().union(*(one for one in behind if one))
            found[node] = lengths if lengths is None or len(lengths) <= LENGTHS else None
            if node in self.drawing.nodes and self.drawing.nodes[node].deferred:
                found[node] = {(frozenset([f"deferred {node}"]), 0)}
        return found

    def _onward(self, way: Way, lengths: set[Length] | None) -> set[Length] | None:
        if lengths is None:
            return None
        if way.kind == "join":
            return (
                {(frozenset([f"join {way.target} {n}"]), 0) for n in range(len(lengths))} if self._first(way) else set()
            )
        marks = frozenset([f"loop {way.source}"]) if way.kind == "then" else frozenset[str]()
        return {(before | marks, steps + 1) for before, steps in lengths}


def _sent_to(route: Route) -> frozenset[str]:
    """Nodes that one decision of a router may start several times."""
    if route.fanout is not None:
        return frozenset(route.targets) - {route.fanout.into}
    if route.loop is not None or not sends(route.function):
        return frozenset()
    return read(route.function).sends or frozenset(route.targets) - {END}


def _times(width: int | None, cap: int | None) -> int | None:
    return None if width is None or cap is None else width * cap
