"""Guard: check a drawing, bound every node and router of it, compile it. What comes back is a plain compiled graph."""

import copy
import time
import uuid
from collections import defaultdict
from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any
from weakref import WeakKeyDictionary

from langgraph.graph import END, StateGraph
from langgraph.graph.state import CompiledStateGraph

from guards.attempt import current_attempt
from guards.errors import Unsafe
from guards.gather import Fanout
from guards.loop import Loop
from guards.node import GuardedNode, NodePlan
from guards.policy import Policy
from guards.route import GuardedRoute, RoutePlan
from guards.wayout import distances, nearest
from guards.wiring import node_runnable, show_run, show_subgraph, stamp_input
from guards.words import Words, words
from state.guarded import Guarded, Run

Builder = StateGraph[Any, Any, Any, Any]
Compiled = CompiledStateGraph[Any, Any, Any, Any]

_guarded: "WeakKeyDictionary[Any, tuple[Builder, Policy]]" = WeakKeyDictionary()


def guard(
    builder: Builder, policy: Policy = Policy(), *, name: str | None = None, nodes: Mapping[str, Policy] | None = None
) -> Compiled:
    """Compile a drawing so that a run of it cannot run away (architecture: `graph = guard(build(), POLICY)`).

    Every run ends `complete`, `partial`, `refused` or `stopped`, with a reason, in the state's `run` record, whatever
    its nodes do; no error of a node leaves the graph.

    Args:
        builder: The drawing; it is not changed.
        policy: The limits of the run and the default limits of its nodes.
        name: The compiled graph's name.
        nodes: Other limits for some nodes: time-out and attempts; the run's own limits stay.

    Returns:
        LangGraph's own compiled graph, without a checkpointer (the server brings one; or compile with
        `graph.copy(update={"checkpointer": saver})`).

    Raises:
        Unsafe: The drawing has holes; each is named with its node and its cure.
        ValueError: LangGraph itself refuses the drawing.
    """
    from guards.check import holes

    found = holes(builder, policy)
    if found:
        raise Unsafe(found)
    return _compile(builder, policy, name, nodes or {})


def is_guarded(graph: Any) -> bool:
    """Whether a compiled graph came from `guard()`."""
    return policy_of(graph) is not None


def policy_of(graph: Any) -> Policy | None:
    """The policy that a compiled graph is guarded by, None if it is not."""
    found = _guarded.get(getattr(graph, "builder", None))
    return found[1] if found else None


def drawing_of(graph: Any) -> Builder:
    """The drawing as its author made it, for a compiled graph, guarded or not."""
    found = _guarded.get(graph.builder)
    return found[0] if found else graph.builder  # type: ignore[no-any-return]


def _compile(builder: Builder, policy: Policy, name: str | None, own: Mapping[str, Policy]) -> Compiled:
    wrapped = _wrapped(builder, policy, name or "graph", own)
    compiled = wrapped.compile(name=name)
    stamp_input(compiled, _beginning(policy, name or "graph"))
    show_run(compiled)
    for node, spec in builder.nodes.items():
        show_subgraph(compiled, node, spec.runnable)
    _guarded[wrapped] = (builder, policy)
    return compiled


def _wrapped(builder: Builder, policy: Policy, name: str, own: Mapping[str, Policy]) -> Builder:
    """A copy of the drawing with guarded nodes and routers."""
    copied = copy.copy(builder)
    copied.schemas, copied.channels, copied.managed = (
        dict(builder.schemas),
        dict(builder.channels),
        dict(builder.managed),
    )
    copied._add_schema(Guarded)
    said, away = words(builder), distances(builder)
    policies = {**said.policies, **own}
    copied.nodes = {
        node: replace(spec, runnable=_node(builder, node, spec, policies.get(node, policy), policy, name, said, away))
        for node, spec in builder.nodes.items()
    }
    copied.branches = defaultdict(dict)
    for source, branches in builder.branches.items():
        for label, branch in branches.items():
            copied.branches[source][label] = branch._replace(path=_route(builder, source, branch, policy, away))
    return copied


def _node(
    builder: Builder, name: str, spec: Any, own: Policy, policy: Policy, graph: str, said: Words, away: dict[str, int]
) -> Any:
    function = _function(spec.runnable)
    plain = getattr(function, "fallback", None)
    gathering = next((g for g in said.gatherings if name in g.branches), None)
    routed = (
        bool(spec.ends) and not builder.branches.get(name) and name not in {start for start, _ in builder._all_edges}
    )
    plan = NodePlan(
        name=name,
        body=spec.runnable,
        policy=policy.but(timeout=own.timeout, attempts=own.attempts),
        begin=_beginning(policy, graph),
        targets=frozenset((*builder.nodes, END)),
        plain=None if plain is None else node_runnable(name, plain),
        withhold=getattr(function, "withhold", None),
        closing=bool(getattr(function, "closing", False)),
        branch=gathering is not None,
        optional=gathering is not None and gathering.min_ok is not None and name not in gathering.required,
        way_out=nearest(list(spec.ends), away) if routed else "",
        quorums=tuple(g for g in said.gatherings if g.into == name and g.min_ok),
    )
    return node_runnable(name, GuardedNode(plan).__call__)


def _route(builder: Builder, source: str, branch: Any, policy: Policy, away: dict[str, int]) -> Any:
    ends = branch.ends or {}
    word = _function(branch.path)
    word = word if isinstance(word, (Loop, Fanout)) else None
    way_out = word.then if isinstance(word, Loop) else word.into if isinstance(word, Fanout) else None
    plan = RoutePlan(
        source=source,
        path=branch.path,
        policy=policy,
        way_out=way_out or min(ends, key=lambda label: away.get(ends[label], len(away) + 1)),
        allowed=frozenset(ends),
        nodes=frozenset(builder.nodes),
        word=word,
    )
    return node_runnable(f"route_{source}", GuardedRoute(plan).__call__)


def _function(runnable: Any) -> Any:
    """The author's function inside LangGraph's runnable."""
    return getattr(runnable, "func", None) or getattr(runnable, "afunc", None) or runnable


def _beginning(policy: Policy, graph: str) -> Callable[[], Run]:
    """Makes the record of a new run; a sub-agent's ends no later than its caller's attempt and shares its trace."""

    def begin() -> Run:
        now, caller, ident = time.time(), current_attempt.get(), uuid.uuid4().hex
        deadlines = [] if policy.seconds is None else [now + policy.seconds]
        if caller is not None and caller.seconds != float("inf"):
            deadlines.append(now + caller.deadline - time.monotonic())
        trace = caller.scope.run.trace_id if caller is not None else ident
        return Run(id=ident, trace_id=trace, graph=graph, started=now, deadline=min(deadlines, default=None))

    return begin
