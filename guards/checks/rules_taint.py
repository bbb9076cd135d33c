"""Rules about agents that declare what they may do: what they leave out, and where an outside text could act (G3, G4).

They hold for a drawing in which at least one agent is declared (`guards.agent`).
"""

from collections.abc import Iterator, Mapping
from typing import Any

from langchain_core.tools import BaseTool

from guards.checks.hole import Hole
from guards.checks.rules_state import writes
from guards.drawings.drawing import Drawing, Node, function_of, is_compiled
from guards.drawings.source import referenced
from guards.policy import Policy
from guards.taint.agent import Capabilities, capabilities
from guards.taint.reach import Reach, reach

CURE = "agent(node, reads=[...], writes=[...], calls=[...])"


def undeclared(drawing: Drawing, policy: Policy) -> Iterator[Hole]:
    """Agents, keys, tools and calls that the declarations leave out: nothing could be proven about the others."""
    agents = _declared(drawing)
    for node in drawing.nodes.values() if agents else ():
        if node.name not in _all(drawing) and not node.is_handler:
            problem = f"'{node.name}' does not declare what it may read, call and write, and other agents do"
            yield Hole("undeclared-agent", node.name, problem, CURE)
    for name, may in agents.items():
        yield from _unknown_keys(drawing, name, may)
        yield from _more_written(drawing, drawing.nodes[name], may)
        yield from _tools(drawing.nodes[name], may)


def _unknown_keys(drawing: Drawing, name: str, may: Capabilities) -> Iterator[Hole]:
    known = set(drawing.channels) | {
        key for schema in drawing.schemas for key in getattr(schema, "__annotations__", ())
    }
    for key in sorted((may.reads | may.writes) - known):
        yield Hole("unknown-key", name, f"'{name}' declares the key '{key}', which no state has", "correct the name")


def _more_written(drawing: Drawing, node: Node, may: Capabilities) -> Iterator[Hole]:
    for key in sorted(writes(drawing, node) - may.writes - {"run"}):
        problem = f"'{node.name}' writes '{key}' and does not declare it"
        yield Hole("undeclared-write", node.name, problem, f"agent(..., writes=[..., '{key}'])")


def _tools(node: Node, may: Capabilities) -> Iterator[Hole]:
    for tool in sorted(name for name, said in may.calls.items() if said is None):
        problem = f"tool '{tool}' of '{node.name}' does not say what it does"
        yield Hole("undeclared-tool", node.name, problem, f"declare({tool}, effect=..., sinks=[...])")
    for tool in sorted(_called(node) - set(may.calls)):
        problem = f"'{node.name}' uses the tool '{tool}' and does not declare to call it"
        yield Hole("undeclared-call", node.name, problem, f"agent(..., calls=[..., {tool}])")


def _called(node: Node) -> set[str]:
    """Tools that a node is seen to use, and those that its sub-agents declare."""
    found: set[str] = set()
    for thing in (node.graph, *(thing for _, thing in referenced(node.function))):
        if is_compiled(thing):
            found |= _called_inside(thing)
        for tool in thing if isinstance(thing, (list, tuple)) else [thing]:
            if isinstance(tool, BaseTool):
                found.add(tool.name)
    return found


def _called_inside(graph: Any) -> set[str]:
    from guards.guard import drawing_of

    if getattr(graph, "builder", None) is None:
        return set()
    mays = (capabilities(function_of(spec.runnable)) for spec in drawing_of(graph).nodes.values())
    return {tool for may in mays if may is not None for tool in may.calls}


def ungated_effects(drawing: Drawing, policy: Policy) -> Iterator[Hole]:
    """A way from outside to a tool that changes the world, with nobody in between; worst with private data at hand."""
    if policy.acts is not None and policy.acts.role != "admin":
        return
    reached = reach(_all(drawing))
    for name, may in _declared(drawing).items():
        for tool in may.acting if name in reached.outside else ():
            yield _ungated(name, tool, reached)


def _ungated(name: str, tool: str, reached: Reach) -> Hole:
    private = reached.private.get(name)
    also = f", and private data too ({private})" if private else ""
    return Hole(
        "rule-of-two" if private else "ungated-effect",
        name,
        f"'{name}' may call '{tool}', and texts from outside reach it ({reached.outside[name]}){also}",
        "Policy(acts=Acts(words=...)) asks a person; or hand over agent(..., extracts={key: type}) or approve(...)",
    )


def unknown_words(drawing: Drawing, policy: Policy) -> Iterator[Hole]:
    """`Acts` names a key for the user's own words that no state has: a person would be asked about everything."""
    for field in ("words", "plan"):
        key = getattr(policy.acts, field, None)
        if key is not None and key not in drawing.channels:
            cure = "name the key that holds it: Policy(acts=Acts(words='messages'))"
            yield Hole("unknown-key", key, f"Acts({field}='{key}'): no state has that key", cure)


def _declared(drawing: Drawing) -> Mapping[str, Capabilities]:
    """The agents that say what they may do."""
    return {name: may for name, may in _all(drawing).items() if not may.ours}


def _all(drawing: Drawing) -> Mapping[str, Capabilities]:
    found = {name: capabilities(node.function) for name, node in drawing.nodes.items()}
    return {name: may for name, may in found.items() if may is not None}
