"""Guard: check a drawing, bound every node and router of it, compile it. What comes back is a plain compiled graph."""

from collections.abc import Mapping
from typing import Any
from weakref import WeakKeyDictionary

from langgraph.graph.state import CompiledStateGraph

from guards.errors import Unsafe
from guards.logs import hide_in_logs
from guards.policy import Policy
from guards.running.streams import hide_in_streams
from guards.running.tracing import trace_quietly
from guards.running.wiring import keep, reap_at_the_end, run_under_guard, show_run, show_subgraph, stamp_input
from guards.running.wrap import Builder, Wrapping

Compiled = CompiledStateGraph[Any, Any, Any, Any]

DEFAULT = Policy()
_guarded: "WeakKeyDictionary[Any, tuple[Builder, Policy, Mapping[str, Policy]]]" = WeakKeyDictionary()


def guard(
    builder: Builder, policy: Policy = DEFAULT, *, name: str | None = None, nodes: Mapping[str, Policy] | None = None
) -> Compiled:
    """Compile a drawing so that a run of it cannot run away (architecture: `graph = guard(build(), POLICY)`).

    Every run ends `complete`, `partial`, `refused` or `stopped`, with a reason, in the state's `run` record, whatever
    its nodes do; no error of a node leaves the graph.

    Args:
        builder: The drawing; it is not changed.
        policy: The limits of the run and the default limits of its nodes.
        name: The compiled graph's name.
        nodes: Other limits for some nodes: time-out, attempts and `per_attempt`; the run's own limits stay.

    Returns:
        LangGraph's own compiled graph, without a checkpointer (the server brings one; or compile with
        `graph.copy(update={"checkpointer": saver})`).

    Raises:
        Unsafe: The drawing has holes; each is named with its node and its cure.
        ValueError: LangGraph itself refuses the drawing.
    """
    from guards.checks.check import holes

    found = holes(builder, policy, nodes)
    if found:
        raise Unsafe(found)
    return _compile(builder, policy, name or "graph", nodes or {})


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
    return found[0] if found else graph.builder


def nodes_of(graph: Any) -> Mapping[str, Policy]:
    """The other limits of single nodes that `guard()` was given."""
    found = _guarded.get(graph.builder)
    return found[2] if found else {}


def _compile(builder: Builder, policy: Policy, name: str, own: Mapping[str, Policy]) -> Compiled:
    wrapping = Wrapping(builder, policy, name, own)
    wrapped = wrapping.builder()
    compiled = wrapped.compile(name=name)
    stamp_input(compiled, wrapping.begin)
    show_run(compiled)
    reap_at_the_end(compiled)
    keep(compiled, hide_in_streams)
    for node, spec in builder.nodes.items():
        show_subgraph(compiled, node, spec.runnable)
        run_under_guard(compiled, node, wrapping.nodes[node])
    _guarded[wrapped] = (builder, policy, own)
    trace_quietly()
    hide_in_logs()
    return compiled
