"""Rules about ways: cycles, barriers, targets, cleaning. Each maps a drawing and a policy to its holes."""

from collections.abc import Iterator
from difflib import get_close_matches

from langgraph.graph import END, START

from guards.checks.hole import Hole
from guards.drawings.certain import Certainty
from guards.drawings.drawing import Drawing, Node
from guards.drawings.source import read, routes_by_command
from guards.drawings.ways import backward, cycles, onward, trail, way_to
from guards.policy import Policy


def unbounded_cycles(drawing: Drawing, policy: Policy) -> Iterator[Hole]:
    """A cycle that passes no `loop` (guide: C7)."""
    after = onward(drawing.ways, lambda way: way.kind == "back")
    for cycle, others in cycles(after, START):
        last, head = cycle[-2], cycle[0]
        away = [end for end in after.get(last, ()) if end not in (*cycle, *others)]
        then = f'"{away[0]}"' if away and away[0] != END else "END" if away else "..."
        shown = _way(cycle)
        mixed = f" (also on it: {', '.join(others)})" if others else ""
        yield Hole(
            "unbounded-cycle",
            shown,
            f"nothing bounds the cycle {shown}{mixed}",
            f'instead of the edge {last} -> {head} write loop(graph, "{last}", back_to="{head}", until=..., at_most=3, '
            f"then={then})",
        )


def starving_joins(drawing: Drawing, policy: Policy) -> Iterator[Hole]:
    """A barrier that may wait for ever; LangGraph then ends the run and reports success."""
    certainty = Certainty(drawing)
    for join in drawing.joins:
        for source, reason in certainty.starving(join).items():
            yield Hole(
                "starving-join",
                f"{source} -> {join.target}",
                f"'{join.target}' waits for {_listed(join.sources)}, but {source} may not run: {reason}",
                f"start all of them from one node with gather(graph, start, [...], into={join.target}), or replace the "
                f'barrier by single edges add_edge("{source}", "{join.target}")',
            )


def undeclared_routes(drawing: Drawing, policy: Policy) -> Iterator[Hole]:
    """Targets that the drawing does not show: nobody can say what the run may do."""
    for route in drawing.routes:
        if route.ends is None:
            ends = ", ".join("END" if end == END else f'"{end}"' for end in route.likely) or '"node", END'
            yield Hole(
                "undeclared-route",
                route.source,
                f"the router '{route.label}' after '{route.source}' does not declare its targets",
                f'name them: add_conditional_edges("{route.source}", {route.label}, [{ends}])',
            )
    for node in drawing.nodes.values():
        if node.graph is None and not node.ends and routes_by_command(node.function):
            named = ", ".join(f'"{end}"' for end in sorted(read(node.function).gotos)) or '"node"'
            yield Hole(
                "undeclared-route",
                node.name,
                f"'{node.name}' routes with Command(goto=...) but does not declare where to",
                f'annotate it "-> Command[Literal[{named}]]" or add_node(..., destinations=({named},))',
            )


def unknown_targets(drawing: Drawing, policy: Policy) -> Iterator[Hole]:
    """Routes to nodes that do not exist: at run time LangGraph ignores some of them without a word."""
    known = {*drawing.nodes, END}
    wanted = {(way.source, way.target) for way in drawing.ways}
    for node in drawing.nodes.values():
        if node.graph is None and node.ends:
            wanted |= {(node.name, goto) for goto in read(node.function).gotos if goto not in node.ends}
    for source, target in sorted(wanted):
        declared = target in known and target != START
        if source not in {*drawing.nodes, START}:
            yield _unknown(_way([source, target]), source, drawing)
        elif not declared:
            yield _unknown(_way([source, target]), target, drawing)
        elif not any((way.source, way.target) == (source, target) for way in drawing.ways):
            yield Hole(
                "unknown-target",
                _way([source, target]),
                f"'{source}' goes to '{target}' by Command but does not declare it",
                f'add "{target}" to the destinations of "{source}"',
            )


def _unknown(where: str, name: str, drawing: Drawing) -> Hole:
    near = get_close_matches(name, drawing.nodes, n=1)
    guess = f"; did you mean '{near[0]}'?" if near else ""
    return Hole("unknown-target", where, f"there is no node '{name}'", f'add_node("{name}", ...) or correct it{guess}')


def unreachable_nodes(drawing: Drawing, policy: Policy) -> Iterator[Hole]:
    """Nodes that no way leads to: the author forgot an edge."""
    before = trail(onward(drawing.ways), START)
    if not before:
        yield Hole("no-start", START, "nothing leads from START", 'add_edge(START, "first node")')
        return
    if any(route.ends is None for route in drawing.routes):
        return
    for name, node in drawing.nodes.items():
        if name not in before and not node.is_handler:
            cure = f'add_edge("node before it", "{name}"), or take the node out'
            yield Hole("unreachable", name, f"no way leads from START to '{name}'", cure)


def void_conditions(drawing: Drawing, policy: Policy) -> Iterator[Hole]:
    """A static edge beside a router to the same node: the condition decides nothing."""
    static = {(way.source, way.target) for way in drawing.ways if way.kind in ("static", "join")}
    chosen = [way for way in drawing.ways if way.kind in ("route", "back", "then", "command") and way.target != END]
    for way in chosen:
        if (way.source, way.target) in static:
            yield Hole(
                "void-condition",
                _way([way.source, way.target]),
                f"'{way.target}' runs after '{way.source}' whatever the router decides: there is an edge as well",
                f'take out add_edge("{way.source}", "{way.target}")',
            )


def uneven_joins(drawing: Drawing, policy: Policy) -> Iterator[Hole]:
    """Single edges that meet after unequal ways: the node runs twice, the first time on half of the results."""
    static = onward(drawing.ways, lambda way: way.kind != "static")
    for fork, targets in static.items():
        for node in _met_unevenly(static, fork, targets):
            if node != END and not drawing.nodes[node].deferred:
                yield Hole(
                    "runs-twice",
                    node,
                    f"the branches from '{fork}' reach '{node}' after unequal numbers of steps: it runs more than once",
                    f'join them with add_edge([the last node of each branch], "{node}"), or add_node(..., defer=True)',
                )


def _met_unevenly(after: dict[str, list[str]], fork: str, targets: list[str]) -> list[str]:
    """Nodes that a fork reaches at more than one depth over edges that are always taken."""
    if len(targets) < 2:
        return []
    depths: dict[str, set[int]] = {}
    level, depth = set(targets), 1
    while level and depth <= len(after) + 1:
        for node in level:
            depths.setdefault(node, set()).add(depth)
        level, depth = {target for node in level for target in after.get(node, ())}, depth + 1
    looping = {node for node in depths if node in trail(after, node)}
    upstream = looping | {node for start in looping for node in trail(after, start)}
    uneven = sorted(node for node, found in depths.items() if len(found) > 1 and node not in upstream)
    # Behind the first such node everything runs twice; only the first needs the cure.
    return [node for node in uneven if not any(node in trail(after, other) for other in uneven if other != node)]


def uncleaned_input(drawing: Drawing, policy: Policy) -> Iterator[Hole]:
    """A way from the start to an agent past no input cleaning (guide: G1)."""
    if not policy.clean_input:
        return
    before = trail(onward(drawing.ways), START, lambda name: not _passes(drawing, name, "input"))
    for name in before:
        if _is_agent(drawing, name):
            way = _way(way_to(before, START, name))
            yield Hole(
                "uncleaned-input",
                name,
                f"input reaches '{name}' uncleaned: {way}",
                'add_node("clean_input", clean(INPUT, "key")) and lead every way from START through it, or say '
                "Policy(clean_input=False)",
            )


def uncleaned_output(drawing: Drawing, policy: Policy) -> Iterator[Hole]:
    """A way from an agent to the end past no output cleaning (guide: G2)."""
    if not policy.clean_output:
        return
    reached = trail(onward(drawing.ways), START)
    before = trail(backward(onward(drawing.ways_out)), END, lambda name: not _passes(drawing, name, "output"))
    for name in before:
        if _is_agent(drawing, name) and name in reached:
            way = _way(way_to(before, END, name)[::-1])
            yield Hole(
                "uncleaned-output",
                name,
                f"what '{name}' says reaches the end uncleaned: {way}",
                'add_node("clean_output", clean(OUTPUT, "key")) and lead every way to END through it, or say '
                "Policy(clean_output=False)",
            )


def _is_agent(drawing: Drawing, name: str) -> bool:
    node = drawing.nodes.get(name)
    return node is not None and not node.cleans and not node.is_handler


def _passes(drawing: Drawing, name: str, what: str) -> bool:
    """Whether uncleaned text goes on behind a node: an agent is the hole itself, a right cleaner ends it."""
    node: Node | None = drawing.nodes.get(name)
    return node is not None and bool(node.cleans) and node.cleans != what


def _way(names: list[str]) -> str:
    return " -> ".join({START: "START", END: "END"}.get(name, name) for name in names)


def _listed(names: tuple[str, ...]) -> str:
    return ", ".join(names)
