"""Gather: branches side by side that always meet again."""

import inspect
from collections.abc import Awaitable, Callable, Sequence
from typing import Any

from langgraph.graph import StateGraph
from langgraph.types import Send

from guards.drawings.words import Gathering, words
from guards.errors import Permanent
from guards.policy import Policy

NodeFunction = Callable[..., Awaitable[Any]]


class Fanout:
    """Router of a fan-out over items: at most `at_most` of them are sent to the worker, the rest are named missing.

    With no items the join runs at once, so that the run does not end silently there.
    """

    def __init__(self, worker: str, into: str, over: Callable[[Any], Sequence[Any]], at_most: int) -> None:
        self.worker = worker
        self.workers: tuple[str, ...] = (worker,)
        self.into = into
        self.over = over
        self.at_most = at_most

    def __call__(self, state: Any) -> list[Send] | str:
        """Where to go next, uncapped: the guard cuts the list at `at_most`."""
        items: Any = self.over(state)
        if not hasattr(items, "__len__"):  # a generator may never end
            kind = type(items).__name__
            raise Permanent(f"over= returned a {kind}, which has no length: return a list of the inputs")
        return [Send(self.worker, item) for item in items] or self.into


def gather(
    graph: StateGraph[Any, Any, Any, Any],
    start: str | Sequence[str],
    branches: Sequence[str | NodeFunction] | str | NodeFunction,
    *,
    into: str | NodeFunction,
    over: Callable[[Any], Sequence[Any]] | None = None,
    at_most: int | None = None,
    policy: Policy | None = None,
    min_ok: int | None = None,
    required: Sequence[str] = (),
) -> None:
    """Run branches side by side after `start` and join them in `into` (requirement C2).

    Under a guard a branch that fails, hangs or is cancelled is recorded in `run.missing` and still reaches the join:
    a plain LangGraph branch with an error handler skips the join and the run reports success.

    Args:
        graph: The drawing.
        start: The node or nodes that fan out; each starts all branches.
        branches: Nodes, by name or as functions that are added; with `over`, the one worker.
        into: The join, by name or as a function that is added.
        over: Fan out over items: called with the state, returns one input for each worker.
        at_most: Cap on the items (needed with `over`); the rest are not started and named in `run.missing`.
        policy: The limits of the branches, if not the graph's.
        min_ok: Branches that must succeed for a complete run; None: all of them. 0: the join decides.
        required: Names of branches that must be among those.

    Raises:
        ValueError: `over` without `at_most`, with more than one worker or with a quorum.
    """
    join = _name(graph, into)
    starts = [start] if isinstance(start, str) else list(start)
    several = [branches] if isinstance(branches, str) or callable(branches) else list(branches)
    names = [_name(graph, branch) for branch in several]
    if over is not None and (min_ok is not None or required):
        raise ValueError("gather(..., over=...) counts no quorum: let the join look at what came back")
    if over is None:
        _side_by_side(graph, starts, names, join)
    else:
        _over_items(graph, starts, names, join, over, at_most)
    said = words(graph)
    said.gatherings.append(Gathering(tuple(names), join, min_ok, tuple(required)))
    if policy is not None:
        said.policies.update(dict.fromkeys(names, policy))


def _name(graph: StateGraph[Any, Any, Any, Any], node: str | NodeFunction) -> str:
    """The node's name; a function that is not in the drawing yet is added."""
    if isinstance(node, str):
        return node
    name = getattr(node, "__name__", type(node).__name__)
    if name not in graph.nodes:
        graph.add_node(name, node)
    return name


def _side_by_side(graph: StateGraph[Any, Any, Any, Any], starts: list[str], names: list[str], join: str) -> None:
    for start in starts:
        for name in names:
            graph.add_edge(start, name)
    graph.add_edge(names, join)


def _over_items(
    graph: StateGraph[Any, Any, Any, Any],
    starts: list[str],
    names: list[str],
    join: str,
    over: Callable[[Any], Sequence[Any]],
    at_most: int | None,
) -> None:
    if at_most is None or at_most < 1:
        raise ValueError(f"gather(..., over=...) into '{join}' has no cap: say at_most=N, the most items to run")
    if len(names) != 1 or inspect.iscoroutinefunction(over):
        raise ValueError("gather(..., over=...) takes one worker and a plain function that returns its inputs")
    for start in starts:
        graph.add_conditional_edges(start, Fanout(names[0], join, over, at_most), [names[0], join])
    graph.add_edge(names[0], join)
