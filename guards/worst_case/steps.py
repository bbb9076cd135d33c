"""Steps: the most supersteps that a run of a drawing can take, known before it starts."""

import graphlib
from collections.abc import Mapping

from langgraph.graph import START

from guards.drawings.certain import loop_body
from guards.drawings.drawing import Drawing
from guards.drawings.ways import onward
from guards.loop import Loop
from guards.policy import Policy


def supersteps(drawing: Drawing, policy: Policy) -> int | None:
    """Supersteps on the longest way through a drawing; None without a bound."""
    steps = longest(drawing, policy, dict.fromkeys(drawing.nodes, 1))
    return None if steps is None else round(steps)


def longest(drawing: Drawing, policy: Policy, costs: Mapping[str, float]) -> float | None:
    """What the costliest way through a drawing costs, every loop taken as often as it may; None without a bound.

    Loops inside each other multiply. Where loops overlap without being inside each other, or a node is deferred, every
    node is counted for every round, one after the other: more than any run takes.
    """
    after = onward(drawing.ways, lambda way: way.kind == "back")
    order = order_of(after)
    if order is None:
        return None
    bodies = bodies_of(drawing)
    nested = all(a <= b or b <= a or a.isdisjoint(b) for a, _ in bodies for b, _ in bodies)
    if not nested or any(node.deferred for node in drawing.nodes.values()):
        return _executions(drawing, bodies, policy, costs)
    weights = dict(costs)
    for body, loop in sorted(bodies, key=lambda one: (len(one[0]), one[1].source)):
        inside = {node: [end for end in after.get(node, ()) if end in body] for node in body}
        weights[loop.source] += (rounds_of(loop, policy) - 1) * _longest(inside, order, weights, loop.back_to)
    return _longest(after, order, weights, START)


def steps_of_a_round(drawing: Drawing, loop: Loop) -> int:
    """Supersteps from the start of one more round to the end of the run, when no loop is taken again after it."""
    after = onward(drawing.ways, lambda way: way.kind == "back")
    order = order_of(after) or []
    return round(_longest(after, order, dict.fromkeys(drawing.nodes, 1), loop.back_to))


def bodies_of(drawing: Drawing) -> list[tuple[set[str], Loop]]:
    """The loops, each with the nodes that run again in every round."""
    after = onward(drawing.ways)
    loops = [route.loop for route in drawing.routes if route.loop is not None]
    return [(loop_body(after, loop.source, loop.back_to), loop) for loop in loops]


def _executions(
    drawing: Drawing, bodies: list[tuple[set[str], Loop]], policy: Policy, costs: Mapping[str, float]
) -> float:
    """What the executions of all nodes cost together, those of a fan-out over items counted once."""
    times = {name: costs[name] for name, node in drawing.nodes.items() if not node.is_handler}
    for body, loop in bodies:
        for node in body & set(times):
            times[node] *= rounds_of(loop, policy)
    return sum(times.values())


def rounds_of(loop: Loop, policy: Policy) -> int:
    """How often the source of a loop may run in a row."""
    return loop.at_most or policy.rounds


def order_of(after: Mapping[str, list[str]]) -> list[str] | None:
    """The nodes, each before those it leads to; None when there is a cycle."""
    try:
        return list(graphlib.TopologicalSorter(after).static_order())[::-1]
    except graphlib.CycleError:
        return None


def _longest(after: Mapping[str, list[str]], order: list[str], weights: Mapping[str, float], start: str) -> float:
    """The heaviest way from `start`."""
    best = {start: weights.get(start, 0)}
    for node in order:
        if node in best:
            for target in after.get(node, ()):
                best[target] = max(best.get(target, 0), best[node] + weights.get(target, 0))
    return max(best.values())
