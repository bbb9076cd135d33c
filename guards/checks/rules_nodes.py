"""Rules about single nodes: what a guard could not bound."""

from collections.abc import Iterator
from typing import Any

from guards.checks.hole import Hole
from guards.drawings.drawing import Drawing, Node, Route, is_async_function, is_compiled
from guards.drawings.source import blocking_calls, referenced, sends
from guards.policy import Policy


def not_async(drawing: Drawing, policy: Policy) -> Iterator[Hole]:
    """A node that cannot be cancelled: a thread runs to its end whatever the time-out says."""
    for node in _authors(drawing):
        if not node.asynchronous:
            yield _not_async(node.name, f"'{node.name}' is not async")
        if node.fallback is not None and not is_async_function(node.fallback):
            name = getattr(node.fallback, "__name__", "fallback")
            yield _not_async(node.name, f"the fallback '{name}' of '{node.name}' is not async")
        for call in blocking_calls(node.function) if node.asynchronous and node.graph is None else ():
            yield Hole(
                "not-async",
                node.name,
                f"'{node.name}' calls {call}, which blocks the event loop, so no time-out holds meanwhile",
                "await the async form (ainvoke, asyncio.sleep, httpx.AsyncClient) or asyncio.to_thread(...)",
            )


def _not_async(name: str, problem: str) -> Hole:
    cure = f'write "async def" for it and move blocking work into await asyncio.to_thread(...) (node "{name}")'
    return Hole("not-async", name, f"{problem}, so its time-out could not end it", cure)


def no_time_outs(drawing: Drawing, policy: Policy) -> Iterator[Hole]:
    """A node that may take for ever (guide: B4)."""
    for node in _authors(drawing):
        if drawing.policies.get(node.name, policy).timeout is None and node.timeout is None:
            yield Hole(
                "no-time-out",
                node.name,
                f"'{node.name}' has no time-out",
                f'say Policy(timeout=30), or guard(..., nodes={{"{node.name}": policy.but(timeout=...)}})',
            )


def unguarded_subgraphs(drawing: Drawing, policy: Policy) -> Iterator[Hole]:
    """A graph inside the graph whose own nodes and loops nothing bounds."""
    for node in _authors(drawing):
        if node.graph is not None and not guarded(node.graph):
            yield _unguarded(node.name, f"the subgraph '{node.name}' is not guarded")
        elif node.graph is None:
            for name, thing in referenced(node.function):
                if is_compiled(thing) and not guarded(thing):
                    yield _unguarded(node.name, f"'{node.name}' runs the graph '{name}', which is not guarded")


def _unguarded(node: str, problem: str) -> Hole:
    cure = "build it with guard(inner_builder, POLICY) instead of inner_builder.compile()"
    return Hole("unguarded-subgraph", node, problem, cure)


def guarded(graph: Any) -> bool:
    """Whether a compiled graph came from `guard()`."""
    from guards.guard import is_guarded

    return getattr(graph, "builder", None) is not None and is_guarded(graph)


def uncapped_fan_outs(drawing: Drawing, policy: Policy) -> Iterator[Hole]:
    """A router that may start any number of branches: LangGraph's recursion limit does not count them."""
    if policy.fan_out is not None:
        return
    for route in drawing.routes:
        if _may_send(route):
            yield _uncapped(route.source, f"the router '{route.label}' after '{route.source}' sends without a cap")
    for node in _authors(drawing):
        if node.graph is None and sends(node.function):
            yield _uncapped(node.name, f"'{node.name}' sends by Command without a cap")


def _may_send(route: Route) -> bool:
    return route.fanout is None and route.loop is None and sends(route.function)


def _uncapped(node: str, problem: str) -> Hole:
    cure = f'gather(graph, "{node}", worker, into=join, over=items, at_most=N), or Policy(fan_out=N)'
    return Hole("uncapped-fan-out", node, problem, cure)


def own_retries(drawing: Drawing, policy: Policy) -> Iterator[Hole]:
    """A second floor that retries: the counts multiply, and the total time has no bound."""
    for node in _authors(drawing):
        if node.retries:
            cure = f'take out retry_policy; attempts are Policy(attempts=N) or guard(..., nodes={{"{node.name}": ...}})'
            problem = f"'{node.name}' has a retry policy of LangGraph's beside the guard's"
            yield Hole("own-retry", node.name, problem, cure)


def own_caches(drawing: Drawing, policy: Policy) -> Iterator[Hole]:
    """A node whose update comes from LangGraph's cache brings the costs and losses of another run along."""
    for node in _authors(drawing):
        if node.cached:
            problem = f"'{node.name}' has a cache policy of LangGraph's: what it once spent and missed would come back"
            yield Hole("own-cache", node.name, problem, "take out cache_policy; keep what it fetches inside the node")


def nothing_extractive(drawing: Drawing, policy: Policy) -> Iterator[Hole]:
    """A step down to what needs no agent, on a drawing that has nothing of that kind."""
    steps = [step for step in policy.degrade if step.to == "extractive"]
    if steps and not any(node.fallback for node in drawing.nodes.values()):
        problem = "the policy degrades to 'extractive' and no node has a fallback: nothing would change"
        yield Hole(
            "nothing-extractive", "policy", problem, "add_node(fallback(agent, plain_way)), or take the step out"
        )


def error_handlers(drawing: Drawing, policy: Policy) -> Iterator[Hole]:
    """A handler replaces the node's edges, so joins behind it starve; under a guard it never runs."""
    for node in _authors(drawing):
        if node.handler:
            yield Hole(
                "error-handler",
                node.name,
                f"the error handler of '{node.name}' would never run: the guard catches inside the node",
                f"add_node(..., fallback({node.name}, plain_way)) without error_handler",
            )


def _authors(drawing: Drawing) -> list[Node]:
    """The nodes that the author drew."""
    return [node for node in drawing.nodes.values() if not node.is_handler]
