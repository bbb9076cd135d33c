"""Describe: what a graph is, what it may do and what it may cost in steps, read from the drawing without running it."""

from dataclasses import dataclass
from typing import Any

from langgraph.graph import END, START, StateGraph

from guards.checks.check import DEFAULT
from guards.checks.rules_state import writes
from guards.drawings.drawing import Drawing, Node, draw, mermaid
from guards.drawings.source import read
from guards.drawings.words import words
from guards.policy import Policy
from guards.taint.agent import capabilities
from guards.taint.declared import Declared
from guards.worst_case.steps import supersteps

_LIMITS = ("seconds", "timeout", "attempts", "calls", "tokens", "dollars", "rounds", "fan_out", "wind_down")


@dataclass(frozen=True)
class NodeView:
    """One node.

    `kinds`: agent, cleaner, closing, fallback, graph, deferred. `reads` and `writes` are what is declared, else what
    the schema and the source show. `calls`: its tools, each with its effect. `brings`: the source that its own code
    reads from. `declared`: whether somebody said all that (`guards.agent`).
    """

    name: str
    kinds: tuple[str, ...]
    reads: tuple[str, ...]
    writes: tuple[str, ...]
    writes_more: bool
    timeout: float | None
    attempts: int
    fallback: str = ""
    declared: bool = False
    calls: tuple[str, ...] = ()
    brings: str = ""


@dataclass(frozen=True)
class EdgeView:
    """One way. `kind`: static, join, route, back, then, fan-out, command."""

    source: str
    target: str
    kind: str


@dataclass(frozen=True)
class LoopView:
    """One loop: `source` runs at most `at_most` times before the run goes on to `then`."""

    source: str
    back_to: str
    then: str
    at_most: int


@dataclass(frozen=True)
class GatherView:
    """One fan-out with its join. `at_most`: the cap of a fan-out over items; None where the branches are drawn."""

    branches: tuple[str, ...]
    into: str
    at_most: int | None
    min_ok: int | None
    required: tuple[str, ...]


@dataclass(frozen=True)
class Description:
    """A graph in figures.

    Attributes:
        channels: Pairs of agents that hand something to each other in this topology.
        channels_possible: Pairs if everybody talked to everybody: n(n-1)/2 (guide: B5).
        agents: How many there are.
        coordinators: The bosses that hand out work (`coordinate`).
        degrades: What a run gives up, and when.
        supersteps: The most steps a run can take; None when a cycle has no bound.
    """

    name: str
    guarded: bool
    limits: dict[str, float | int | None]
    nodes: tuple[NodeView, ...]
    edges: tuple[EdgeView, ...]
    loops: tuple[LoopView, ...]
    gathers: tuple[GatherView, ...]
    channels: int
    channels_possible: int
    agents: int
    coordinators: tuple[str, ...]
    supersteps: int | None
    degrades: tuple[str, ...]
    mermaid: str


def description(graph: Any, name: str = "") -> Description:
    """Describe a drawing or a compiled graph.

    Args:
        graph: A `StateGraph` or what `guard()` or `compile()` made of one.
        name: What to call it; its own name if not given.

    Raises:
        TypeError: It is neither.
    """
    builder, policy, own = _opened(graph)
    drawing, limits = draw(builder), policy or DEFAULT
    agents = [node.name for node in drawing.nodes.values() if not node.cleans and not node.is_handler]
    return Description(
        name=name or own,
        guarded=policy is not None,
        limits={limit: getattr(limits, limit) for limit in _LIMITS},
        nodes=tuple(_node(drawing, node, limits) for node in drawing.nodes.values() if not node.is_handler),
        edges=tuple(EdgeView(way.source, way.target, way.kind) for way in drawing.ways),
        loops=tuple(
            LoopView(loop.source, loop.back_to, loop.then, loop.at_most or limits.rounds)
            for route in drawing.routes
            if (loop := route.loop) is not None
        ),
        gathers=_gathers(drawing),
        channels=len({frozenset((way.source, way.target)) for way in drawing.ways if _between(way, agents)}),
        channels_possible=len(agents) * (len(agents) - 1) // 2,
        agents=len(agents),
        coordinators=tuple(words(builder).coordinators),
        supersteps=supersteps(drawing, limits),
        degrades=tuple(f"{step.to} from {step.at:.0%} of {step.of} on" for step in limits.degrade),
        mermaid=mermaid(graph),
    )


def describe(graph: Any, name: str = "") -> str:
    """The description of a graph as text for a terminal; `description(graph)` is the same as data, with a drawing."""
    it = description(graph, name)
    steps = "unbounded" if it.supersteps is None else f"at most {it.supersteps}"
    lines = [
        f"{it.name} ({'guarded' if it.guarded else 'not guarded; default limits shown'})",
        "",
        "limits      " + "  ".join(f"{limit}={_shown(value)}" for limit, value in it.limits.items()),
        f"supersteps  {steps}",
        f"worst case  {worst_case(graph)}",
        *(f"degrades    {step}" for step in it.degrades),
        f"agents      {it.agents}, with {it.channels} of {it.channels_possible} possible channels, n(n-1)/2",
        *(f"coordinator  {name}" for name in it.coordinators),
        "",
        "nodes",
        *_table([_row(node) for node in it.nodes]),
        "",
        "edges",
        *_table([(_end(edge.source), "->", _end(edge.target), edge.kind) for edge in it.edges]),
    ]
    lines += _section("loops", [f"{one.source} -> {one.back_to}{_rounds(one)}" for one in it.loops])
    lines += _section("gathers", [f"{', '.join(one.branches)} -> {one.into}{_terms(one)}" for one in it.gathers])
    return "\n".join(lines)


def worst_case(graph: Any) -> str:
    """The most that a run can take, in one line; `ceiling(graph)` shows where it comes from."""
    from guards.worst_case.ceiling import ceiling
    from guards.worst_case.ceiling_text import shown

    found = ceiling(graph)
    figures = {quantity: found.of(quantity) for quantity in ("calls", "tokens", "dollars", "seconds")}
    units = {"calls": " calls", "tokens": " tokens", "dollars": "", "seconds": " s"}
    return ", ".join(
        "unbounded " + quantity if value is None else shown(quantity, value) + units[quantity]
        for quantity, value in figures.items()
    )


def _opened(graph: Any) -> tuple[Any, Policy | None, str]:
    """Drawing, policy and name of what was given."""
    if isinstance(graph, StateGraph):
        return graph, None, "graph"
    if getattr(graph, "builder", None) is None:
        raise TypeError(f"describe: a {type(graph).__name__} is no graph; give a StateGraph or a compiled graph")
    from guards.guard import drawing_of, policy_of

    return drawing_of(graph), policy_of(graph), graph.get_name()


def _node(drawing: Drawing, node: Node, policy: Policy) -> NodeView:
    own, may = drawing.policies.get(node.name, policy), capabilities(node.function)
    return NodeView(
        name=node.name,
        kinds=tuple(_kinds(node)),
        reads=node.reads if may is None else tuple(sorted(may.reads)),
        writes=tuple(sorted(writes(drawing, node) if may is None else may.writes)),
        writes_more=may is None and node.graph is None and not read(node.function).sure,
        timeout=own.timeout if node.timeout is None else min(node.timeout, own.timeout or node.timeout),
        attempts=own.attempts,
        fallback="" if node.fallback is None else getattr(node.fallback, "__name__", "fallback"),
        declared=may is not None,
        calls=() if may is None else tuple(f"{name} ({_effect(said)})" for name, said in sorted(may.calls.items())),
        brings="" if may is None else may.brings + " (private)" * (may.private and bool(may.brings)),
    )


def _effect(said: Declared | None) -> str:
    return "undeclared" if said is None else said.effect


def _kinds(node: Node) -> list[str]:
    marks = {"cleaner": node.cleans, "graph": node.graph, "closing": node.closing, "fallback": node.fallback}
    found = [kind for kind, mark in {**marks, "deferred": node.deferred}.items() if mark]
    return found if node.cleans else ["agent", *found]


def _gathers(drawing: Drawing) -> tuple[GatherView, ...]:
    caps = {(way.worker, way.into): way.at_most for route in drawing.routes if (way := route.fanout) is not None}
    return tuple(
        GatherView(one.branches, one.into, caps.get((one.branches[0], one.into)), one.min_ok, one.required)
        for one in drawing.gatherings
    )


def _between(way: Any, agents: list[str]) -> bool:
    return way.source in agents and way.target in agents and way.source != way.target


def _row(node: NodeView) -> tuple[str, ...]:
    written = ", ".join(node.writes) + ("?" if node.writes_more else "")
    bound = f"{_shown(node.timeout)} s x {node.attempts}"
    plain = f"else {node.fallback}" if node.fallback else ""
    seen, written = ", ".join(node.reads) or "-", written or "-"
    rights = (f"may read {seen}", f"write {written}") if node.declared else (f"reads {seen}", f"writes {written}")
    tools = [f"call {', '.join(node.calls)}"] if node.calls else []
    sources = [f"bring {node.brings}"] if node.brings else []
    return node.name, " ".join(node.kinds), bound, *rights, "; ".join(tools + sources), plain


def _section(title: str, lines: list[str]) -> list[str]:
    return ["", title, *(f"  {line}" for line in lines)] if lines else []


def _rounds(loop: LoopView) -> str:
    return f", at most {loop.at_most} rounds, then {_end(loop.then)}"


def _terms(one: GatherView) -> str:
    words = {"at most": one.at_most, "min_ok": one.min_ok, "required": ", ".join(one.required) or None}
    found = [f"{word} {value}" for word, value in words.items() if value is not None]
    return f" ({'; '.join(found)})" if found else ""


def _table(rows: list[tuple[str, ...]]) -> list[str]:
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    return [
        "  " + "  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip() for row in rows
    ]


def _end(name: str) -> str:
    return {START: "START", END: "END"}.get(name, name)


def _shown(value: float | int | None) -> str:
    return "off" if value is None else f"{value:g}"
