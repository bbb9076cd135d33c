"""Ceiling: the most that a run of a graph can take under its policy, known before it starts.

For each node: executions (rounds of the loops around it x width of the fan-outs to it) x attempts x what one attempt
may use. The sum of these terms or the run's own limit, whichever is lower, is the ceiling. Both are enforced, so it is
true by construction.

What one attempt may use is what `Policy.per_attempt` allows it, over all its calls together: a history that is sent
again with every call counts each time. It is nothing where the node's code surely makes no call
(`guards.worst_case.callless`), and the sub-agent's own ceiling where the node is a guarded graph. Otherwise the term
has no bound of its own: only the run's limit holds it. Money is bounded by `per_attempt`, by the run and, where a
model is named, by its price; it is assumed that no dearer one is called.

Seconds: the costliest way through the graph, each node with its time-out for every attempt and its fallback, and a
wait as long as a time-out between attempts (a Retry-After is obeyed that far). Waiting for a person does not count.

Assumed: the graph has no holes (`interlock check`). Not covered: a run that was killed or interrupted executes the
nodes that were under way again; then the run's limits alone hold. Not counted: the machine's own time.
"""

import math
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass, replace
from typing import Any

from langgraph.graph import START, StateGraph

from guards.checks.check import DEFAULT
from guards.coordinate import Handout
from guards.drawings.drawing import Drawing, Node, Route, draw
from guards.ledger.prices import Price, price_of
from guards.policy import Policy
from guards.running.current import GRACE_SECONDS
from guards.worst_case.callless import decides_quietly, makes_no_call
from guards.worst_case.executions import executions
from guards.worst_case.most import NONE, UNKNOWN, Most, least, total
from guards.worst_case.steps import longest, supersteps

QUANTITIES = ("calls", "input_tokens", "output_tokens", "tokens", "dollars", "tool_calls", "seconds")
NO_CALL = "no call in its source"
SHOWN = ("calls", "tokens", "dollars", "seconds")


@dataclass(frozen=True)
class Term:
    """What one node can add. None: without a bound of its own.

    Attributes:
        node: Its name.
        executions: Rounds of its loops times the width of what is sent to it.
        attempts: Attempts of each execution.
        attempt: What one attempt may use, all its calls together.
        fallback: What the fallback may use besides.
        total: All of it.
        seconds: What one execution may take.
        basis: Where the figures come from: "no call in its source", "cleaner", "sub-agent", "per_attempt", "unbounded".
        inside: A sub-agent's own ceiling.
    """

    node: str
    executions: int | None
    attempts: int
    attempt: Most
    fallback: Most
    total: Most
    seconds: float | None
    basis: str
    inside: "Ceiling | None" = None


@dataclass(frozen=True)
class Unbounded:
    """What nothing bounds, or only the run's own limit, and what to do."""

    what: str
    cure: str
    held_by_run: bool


@dataclass(frozen=True)
class Ceiling:
    """The most that a run can take.

    Attributes:
        name: The graph's name.
        guarded: Whether anybody enforces it; else it is what the default policy would allow.
        most: Calls, tokens, dollars (USD) and tool calls; None: nothing bounds it.
        seconds: Wall seconds; None: nothing bounds them.
        supersteps: Steps of the graph; None: a cycle has no bound.
        terms: By node.
        sums: What the terms add up to, by quantity.
        limits: The run's own limits, by quantity.
        binds: By quantity "run limit", "terms" or "nothing".
        unbounded: What nothing, or only the run's limit, bounds.
    """

    name: str
    guarded: bool
    most: Most
    seconds: float | None
    supersteps: int | None
    terms: tuple[Term, ...]
    sums: Mapping[str, float | None]
    limits: Mapping[str, float | None]
    binds: Mapping[str, str]
    unbounded: tuple[Unbounded, ...]

    def of(self, quantity: str) -> float | None:
        """The most of "calls", "tokens", "seconds" and so on; None: nothing bounds it."""
        found: float | None = self.seconds if quantity == "seconds" else getattr(self.most, quantity)
        return found

    def data(self) -> dict[str, Any]:
        """The same for JSON."""
        terms = [
            {
                **asdict(replace(term, inside=None)),
                **{part: getattr(term, part)._asdict() for part in ("attempt", "fallback", "total")},
                "inside": None if term.inside is None else term.inside.data(),
            }
            for term in self.terms
        ]
        return {**asdict(replace(self, terms=())), "most": self.most._asdict(), "terms": terms}


def ceiling(graph: Any, *, model: str = "", name: str = "") -> Ceiling:
    """The most calls, tokens, dollars and seconds that a run of a graph can take (requirement D1).

    Args:
        graph: What `guard()` made; a drawing or a bare compiled graph is measured under the default policy.
        model: The dearest model that is called: its price bounds the dollars where tokens are bounded.
        name: What to call the graph; its own name if not given.

    Raises:
        TypeError: It is no graph.
        ValueError: Nobody knows the model's price.
    """
    builder, policy, nodes, own = _opened(graph)
    return reckoned(builder, policy, nodes, name or own, model)


def reckoned(builder: Any, policy: Policy | None, nodes: Mapping[str, Policy], name: str, model: str = "") -> Ceiling:
    """The ceiling of a drawing under a policy, or under the default one, with other limits for some nodes."""
    drawing, limits = draw(builder), policy or DEFAULT
    drawing = replace(drawing, policies={**drawing.policies, **nodes})
    return _Reckoning(drawing, limits, _price(model, limits), model).ceiling(name, policy is not None)


class _Reckoning:
    """One graph under one policy."""

    def __init__(self, drawing: Drawing, policy: Policy, price: Price | None, model: str) -> None:
        self.drawing, self.policy, self.price, self.model = drawing, policy, price, model

    def ceiling(self, name: str, guarded: bool) -> Ceiling:
        times = executions(self.drawing, self.policy)
        nodes = [self._term(self.drawing.nodes[node], count) for node, count in times.items()]
        routers = [(route.source, self._router(route, times)) for route in self.drawing.routes if _counts(route)]
        terms = (*self._together(nodes, times), *(term for _, term in routers))
        costs = dict.fromkeys(self.drawing.nodes, math.inf) | {term.node: _cost(term) for term in nodes}
        for source, term in routers:
            costs[source] = costs.get(source, 0.0) + _cost(term)
        path = longest(self.drawing, self.policy, costs)
        seconds = None if path is None or math.isinf(path) else path
        summed = total(term.total for term in terms)
        sums = {**summed._asdict(), "seconds": seconds}
        limits = {**asdict(self.policy.per_run), "seconds": self.policy.seconds}
        most = summed.within(self.policy.per_run, self.price)
        highest = {**most._asdict(), "seconds": least([seconds, self.policy.seconds])}
        return Ceiling(
            name=name,
            guarded=guarded,
            most=most,
            seconds=highest["seconds"],
            supersteps=supersteps(self.drawing, self.policy),
            terms=terms,
            sums=sums,
            limits={one: limits[one] for one in QUANTITIES},
            binds={one: _binding(highest[one], sums[one]) for one in QUANTITIES},
            unbounded=tuple(_unbounded(terms, highest)),
        )

    def _together(self, nodes: list[Term], times: Mapping[str, int | None]) -> Iterator[Term]:
        """The terms, but of workers that share a cap of tasks one: each task is one worker's."""
        shared = [route.function for route in self.drawing.routes if self._hands_all_out(route)]
        yield from (term for term in nodes if not any(term.node in handout.workers for handout in shared))
        for handout in shared:
            begun = times[handout.begin]
            tasks = None if begun is None else begun * handout.tasks
            yield _one_of([term for term in nodes if term.node in handout.workers], tasks)

    def _hands_all_out(self, route: Route) -> bool:
        """Whether it is the only way to the workers of a coordination."""
        workers = route.function.workers if isinstance(route.function, Handout) else ()
        return bool(workers) and all(way.source == route.source for way in self.drawing.ways if way.target in workers)

    def _term(self, node: Node, count: int | None) -> Term:
        own = self.drawing.policies.get(node.name, self.policy)
        attempt, basis, inside = self._attempt(node, own)
        without = node.fallback is None or makes_no_call(node.fallback)
        fallback = NONE if without else UNKNOWN.within(own.per_attempt, self.price)
        return Term(
            node=node.name,
            executions=count,
            attempts=own.attempts,
            attempt=attempt,
            fallback=fallback,
            total=attempt.times(own.attempts).plus(fallback).times(count),
            seconds=_seconds(node, own, inside),
            basis=basis,
            inside=inside,
        )

    def _router(self, route: Route, times: Mapping[str, int | None]) -> Term:
        """An author's own router: one attempt after each execution of its node."""
        sure = decides_quietly(route.function)
        attempt = NONE if sure else UNKNOWN.within(self.policy.per_attempt, self.price)
        count, timeout = 1 if route.source == START else times[route.source], self.policy.timeout
        return Term(
            node=f"router of {route.source}",
            executions=count,
            attempts=1,
            attempt=attempt,
            fallback=NONE,
            total=attempt.times(count),
            seconds=None if timeout is None else timeout + 2 * GRACE_SECONDS,
            basis=_basis(attempt, sure),
        )

    def _attempt(self, node: Node, own: Policy) -> tuple[Most, str, Ceiling | None]:
        """What one attempt may use, why, and the sub-agent that it is."""
        if node.cleans:
            return NONE, "cleaner", None
        inside = self._inside(node)
        if inside is not None:
            return inside.most.within(own.per_attempt, self.price), "sub-agent", inside
        if node.graph is None and makes_no_call(node.function):
            return NONE, NO_CALL, None
        found = UNKNOWN.within(own.per_attempt, self.price)
        return found, _basis(found, False), None

    def _inside(self, node: Node) -> Ceiling | None:
        from guards.guard import is_guarded

        guarded = node.graph is not None and is_guarded(node.graph)
        return ceiling(node.graph, model=self.model, name=node.name) if guarded else None


def _opened(graph: Any) -> tuple[Any, Policy | None, Mapping[str, Policy], str]:
    """Drawing, policy, other limits of nodes, and name of what was given."""
    if isinstance(graph, StateGraph):
        return graph, None, {}, "graph"
    if getattr(graph, "builder", None) is None:
        raise TypeError(f"ceiling: a {type(graph).__name__} is no graph; give a StateGraph or a compiled graph")
    from guards.guard import drawing_of, nodes_of, policy_of

    return drawing_of(graph), policy_of(graph), nodes_of(graph), graph.get_name()


def _price(model: str, policy: Policy) -> Price | None:
    price = price_of(model, policy.prices) if model else None
    if model and price is None:
        raise ValueError(f"nobody knows the price of '{model}': state it with Policy(prices={{'{model}': (in, out)}})")
    return price


def _seconds(node: Node, own: Policy, inside: Ceiling | None) -> float | None:
    """One execution: its attempts, the waits between them, its fallback."""
    timeout = least([own.timeout, own.per_attempt.seconds, node.timeout])
    one = least([timeout, None if inside is None else inside.seconds])
    if one is None:
        return None
    tries = own.attempts + (node.fallback is not None)
    waits = (own.attempts - 1) * (math.inf if timeout is None else timeout)
    return float(tries * (one + 2 * GRACE_SECONDS) + waits)


def _cost(term: Term) -> float:
    return math.inf if term.seconds is None else term.seconds


def _one_of(workers: list[Term], tasks: int | None) -> Term:
    """What so many tasks take, each of them the costliest worker's."""
    one = replace(workers[0], node=_several([term.node for term in workers]), executions=tasks, inside=None)
    for term in workers[1:]:
        one = replace(
            one,
            attempts=max(one.attempts, term.attempts),
            attempt=one.attempt.either(term.attempt),
            fallback=one.fallback.either(term.fallback),
            seconds=None if one.seconds is None or term.seconds is None else max(one.seconds, term.seconds),
            basis=one.basis if one.basis == term.basis else "per_attempt",
        )
    return replace(one, total=one.attempt.times(one.attempts).plus(one.fallback).times(tasks))


def _basis(attempt: Most, sure: bool) -> str:
    return NO_CALL if sure else "unbounded" if attempt.calls is None else "per_attempt"


def _counts(route: Route) -> bool:
    """Whether it is a router that its author wrote, or one of our words with a condition that may make calls."""
    return (route.loop is None and route.fanout is None) or not decides_quietly(route.function)


def _binding(highest: float | None, summed: float | None) -> str:
    if highest is None:
        return "nothing"
    return "terms" if summed is not None and summed <= highest else "run limit"


def _unbounded(terms: tuple[Term, ...], highest: Mapping[str, float | None]) -> Iterator[Unbounded]:
    endless = [term.node for term in terms if term.executions is None]
    if endless:
        cure = (
            "draw its cycle with loop(..., at_most=N), its fan-out with gather(..., at_most=N); see `interlock check`"
        )
        yield Unbounded(f"executions of {_several(endless)}", cure, highest["calls"] is not None)
    for quantity in SHOWN[:3]:
        nodes = [term.node for term in terms if getattr(term.attempt.plus(term.fallback), quantity) is None]
        if nodes:
            cure = f"Policy(per_attempt=Limits({quantity}=N)){_or_price(quantity)}"
            held = highest[quantity] is not None
            cure += "" if held else f", or Policy({quantity}=N) for the run"
            yield Unbounded(f"{quantity} of an attempt of {_several(nodes)}", cure, held)
    slow = [term.node for term in terms if term.seconds is None]
    if slow:
        held = highest["seconds"] is not None
        yield Unbounded(f"seconds of {_several(slow)}", "Policy(timeout=S), or Policy(seconds=S) for the run", held)


def _or_price(quantity: str) -> str:
    return ", or name the model (--model) and limit tokens" if quantity == "dollars" else ""


def _several(nodes: list[str]) -> str:
    return ", ".join(nodes[:5]) + (f" and {len(nodes) - 5} more" if len(nodes) > 5 else "")
