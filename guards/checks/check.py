"""Check: the static checks. `guard()` refuses a drawing with holes; `interlock check` lists them for any graph."""

import os
from collections.abc import Callable, Iterator, Mapping
from dataclasses import replace
from typing import Any

from langgraph.graph import StateGraph

from guards.checks import rules_nodes, rules_peers, rules_state, rules_taint, rules_ways
from guards.checks.hole import Hole, in_order
from guards.drawings.drawing import Drawing, draw, is_compiled
from guards.drawings.source import following_once
from guards.policy import Policy

DEFAULT = Policy()

Rule = Callable[[Drawing, Policy], Iterator[Hole]]

RULES: tuple[Rule, ...] = (
    rules_ways.unbounded_cycles,
    rules_ways.starving_joins,
    rules_ways.undeclared_routes,
    rules_ways.unknown_targets,
    rules_ways.unreachable_nodes,
    rules_ways.void_conditions,
    rules_ways.uneven_joins,
    rules_ways.uncleaned_input,
    rules_ways.uncleaned_output,
    rules_peers.no_coordinator,
    rules_nodes.not_async,
    rules_nodes.no_time_outs,
    rules_nodes.unguarded_subgraphs,
    rules_nodes.uncapped_fan_outs,
    rules_nodes.own_retries,
    rules_nodes.own_caches,
    rules_nodes.error_handlers,
    rules_nodes.nothing_extractive,
    rules_state.parallel_writes,
    rules_state.not_serializable,
    rules_state.keyless_state,
    rules_state.taken_key,
    rules_taint.undeclared,
    rules_taint.ungated_effects,
    rules_taint.unknown_words,
)


def holes(builder: Any, policy: Policy = DEFAULT, nodes: Mapping[str, Policy] | None = None) -> list[Hole]:
    """Every reason why a drawing is not safe to run under a policy, in a stable order; empty when there is none.

    Nothing of the drawing is run or changed. What the checks cannot see (a model's choice, a value's real type) the
    guard checks again at run time.

    Args:
        builder: The drawing.
        policy: The limits of the run.
        nodes: Other limits for some nodes, as for `guard()`.
    """
    drawing = draw(builder)
    drawing = replace(drawing, policies={**drawing.policies, **(nodes or {})})
    with following_once():
        return in_order([hole for rule in RULES for hole in rule(drawing, policy)])


def check(target: Any) -> list[Hole]:
    """Every hole of a graph, whoever drew it.

    Args:
        target: A drawing, a compiled graph, or a place to load from: "module:attr", "file.py:attr", "file.py", a
            `langgraph.json` or a project's folder. A guarded graph is checked under its own policy, any other one under
            the default policy.

    Returns:
        The holes, in a stable order. What cannot be loaded is a hole too (`cannot-load`).
    """
    if not isinstance(target, (str, os.PathLike)):
        return _checked(target, "")
    from guards.drawings.load import loaded

    found: list[Hole] = []
    with loaded(os.fspath(target)) as graphs:
        for graph in graphs:
            found += graph.holes or _checked(graph.graph, graph.name)
    return in_order(found)


def _checked(graph: Any, name: str) -> list[Hole]:
    if isinstance(graph, StateGraph):
        return _named(holes(graph), name)
    if not is_compiled(graph) or getattr(graph, "builder", None) is None:
        problem = f"it is a {type(graph).__name__}, no graph that can be checked"
        return [Hole("cannot-load", name or "graph", problem, "name a StateGraph or a compiled graph", name)]
    from guards.guard import drawing_of, policy_of

    policy = policy_of(graph)
    return _named([*_compiled(graph, policy), *holes(drawing_of(graph), policy or DEFAULT)], name)


def _compiled(graph: Any, policy: Policy | None) -> Iterator[Hole]:
    """Holes that only a compiled graph can have."""
    name = graph.get_name()
    if policy is None:
        yield Hole("not-guarded", name, f"'{name}' is compiled without a guard", "graph = guard(build(), POLICY)")
    for what in ("checkpointer", "store"):
        if getattr(graph, what, None) not in (None, False):
            cure = f"compile without it: the server brings its own; elsewhere graph.copy(update={{'{what}': ...}})"
            yield Hole(f"own-{what}", name, f"'{name}' is compiled with a {what} of its own; servers refuse that", cure)
    if (graph.config or {}).get("max_concurrency"):
        problem = f"max_concurrency on '{name}' can deadlock nodes that call tasks, and delays saving results"
        yield Hole("max-concurrency", name, problem, "take it out; limit inside the node")


def _named(found: list[Hole], name: str) -> list[Hole]:
    return in_order([replace(hole, graph=name) for hole in found])


__all__ = ["RULES", "Hole", "check", "holes"]
