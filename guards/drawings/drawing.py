"""Drawing: what LangGraph's builder holds, as plain frozen records.

The one file of the static checks that reads the builder's insides; not all of them are public. langgraph is pinned and
`tests/test_drawing.py` tells when they move.
"""

import copy
import datetime
import functools
import inspect
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any, Literal

from langchain_core.runnables import Runnable
from langgraph._internal._runnable import RunnableCallable
from langgraph.channels.ephemeral_value import EphemeralValue
from langgraph.channels.last_value import LastValue, LastValueAfterFinish
from langgraph.channels.untracked_value import UntrackedValue
from langgraph.graph import END, StateGraph
from langgraph.pregel import Pregel

from guards.drawings.source import likely_ends
from guards.drawings.words import Gathering, words
from guards.gather import Fanout
from guards.loop import Loop
from guards.policy import Policy

Kind = Literal["static", "join", "route", "back", "then", "fan-out", "command"]
"""How a way is taken: always; when all have come; when the router, the loop, the fan-out or the node says so."""


@dataclass(frozen=True)
class Node:
    """One node.

    Attributes:
        name: Its name.
        function: The author's function, or the runnable when there is none.
        graph: The compiled graph that it is, else None.
        asynchronous: Whether it can be cancelled at its time-out.
        reads: Keys of its input schema.
        input_schema: The view it is given.
        ends: Where it may go by `Command`, as declared.
        timeout: LangGraph's own time-out in seconds, if the author set one.
        cached: LangGraph's own cache policy is set.
        retries: LangGraph's own retry policy is set.
        handler: Name of its error handler's node.
        is_handler: It is such a node.
        deferred: It runs when nothing else is left to run.
    """

    name: str
    function: Any
    graph: Any
    asynchronous: bool
    reads: tuple[str, ...]
    input_schema: Any
    ends: tuple[str, ...] = ()
    timeout: float | None = None
    cached: bool = False
    retries: bool = False
    handler: str = ""
    is_handler: bool = False
    deferred: bool = False

    @property
    def cleans(self) -> str:
        """What it cleans, "input" or "output"; nothing when it is an agent."""
        return getattr(self.function, "cleans", None) or ""

    @property
    def closing(self) -> bool:
        """Whether it runs in an ending run too."""
        return bool(getattr(self.function, "closing", False))

    @property
    def fallback(self) -> Any:
        """Its plain way, or None."""
        return getattr(self.function, "fallback", None)


@dataclass(frozen=True)
class Route:
    """One router. `ends` is None when the author declared no targets; `likely` is what its code names."""

    source: str
    label: str
    function: Any
    ends: tuple[str, ...] | None
    likely: tuple[str, ...] = ()

    @property
    def targets(self) -> tuple[str, ...]:
        """Declared targets, else the likely ones."""
        return self.likely if self.ends is None else self.ends

    @property
    def loop(self) -> Loop | None:
        """The word that made it, if it was `loop`."""
        return self.function if isinstance(self.function, Loop) else None

    @property
    def fanout(self) -> Fanout | None:
        """The word that made it, if it was `gather(over=...)`."""
        return self.function if isinstance(self.function, Fanout) else None


@dataclass(frozen=True)
class Join:
    """A barrier: `target` runs when every source has run."""

    sources: tuple[str, ...]
    target: str


@dataclass(frozen=True)
class Channel:
    """One state key.

    Attributes:
        key: Its name.
        holds: The type of its value.
        single: Two writes in one step are an error.
        stored: A checkpoint carries it.
        reducer: Name of what merges two writes.
    """

    key: str
    holds: Any
    single: bool
    stored: bool
    reducer: str = ""


@dataclass(frozen=True, order=True)
class Way:
    """One step that a run may take."""

    source: str
    target: str
    kind: Kind


@dataclass(frozen=True)
class Drawing:
    """A builder, read once."""

    nodes: Mapping[str, Node]
    edges: tuple[tuple[str, str], ...]
    joins: tuple[Join, ...]
    routes: tuple[Route, ...]
    channels: Mapping[str, Channel]
    state_schema: Any
    schemas: tuple[Any, ...]
    gatherings: tuple[Gathering, ...]
    policies: Mapping[str, Policy]

    @functools.cached_property
    def ways(self) -> tuple[Way, ...]:
        """Every way that a run may take, sorted. Error handlers are no part of it: under a guard they never run."""
        found = {Way(source, target, "static") for source, target in self.edges}
        found |= {Way(source, join.target, "join") for join in self.joins for source in join.sources}
        found |= {Way(route.source, end, _kind(route, end)) for route in self.routes for end in route.targets}
        found |= {Way(node.name, end, "command") for node in self.nodes.values() for end in node.ends}
        return tuple(sorted(found))

    @functools.cached_property
    def ways_out(self) -> tuple[Way, ...]:
        """The ways with those of the dead ends: a branch without a way on, or to nowhere, ends as if it led to END."""
        leading = {way.source for way in self.ways}
        astray = {way.source for way in self.ways if way.target not in self.nodes and way.target != END}
        ends = [name for name, node in self.nodes.items() if name in astray or name not in leading]
        dead = [name for name in ends if not self.nodes[name].is_handler]
        return (*self.ways, *(Way(name, END, "static") for name in dead))


def draw(builder: StateGraph[Any, Any, Any, Any]) -> Drawing:
    """Read a builder; nothing of it is changed or called."""
    known = frozenset((*builder.nodes, END))
    return Drawing(
        nodes={name: _node(builder, name, spec) for name, spec in builder.nodes.items()},
        edges=tuple(sorted(builder.edges)),
        joins=tuple(Join(tuple(sources), target) for sources, target in sorted(builder.waiting_edges)),
        routes=tuple(
            _route(source, label, branch, known)
            for source, branches in sorted(builder.branches.items())
            for label, branch in sorted(branches.items())
        ),
        channels={key: _channel(key, channel) for key, channel in builder.channels.items()},
        state_schema=builder.state_schema,
        schemas=tuple(builder.schemas),
        gatherings=tuple(words(builder).gatherings),
        policies=dict(words(builder).policies),
    )


def function_of(runnable: Any) -> Any:
    """The author's function inside LangGraph's runnable, or the runnable itself."""
    return getattr(runnable, "func", None) or getattr(runnable, "afunc", None) or runnable


def output_keys(graph: Any) -> frozenset[str]:
    """Keys that a compiled graph hands back to its caller."""
    found = graph.output_channels
    return frozenset([found] if isinstance(found, str) else found)


def is_compiled(thing: Any) -> bool:
    """Whether it is a compiled graph of LangGraph's."""
    return isinstance(thing, Pregel)


def mermaid(graph: Any) -> str:
    """LangGraph's own drawing of a builder or a compiled graph; empty where it cannot draw it."""
    try:
        if isinstance(graph, StateGraph):
            graph = copy.copy(graph)
            graph.nodes = {name: replace(spec) for name, spec in graph.nodes.items()}
            graph = graph.compile()
        return str(graph.get_graph().draw_mermaid())
    except Exception:
        return ""


def is_async(runnable: Any) -> bool:
    """Whether a runnable awaits its work instead of blocking a thread with it."""
    if isinstance(runnable, RunnableCallable):
        blocking = runnable.func is not None and isinstance(runnable.afunc, (functools.partial, type(None)))
        return not blocking and _marked_async(runnable.afunc)
    inner = _parts(runnable)
    if inner:
        return all(map(is_async, inner))
    if hasattr(runnable, "func") or hasattr(runnable, "afunc"):
        return getattr(runnable, "afunc", None) is not None
    return isinstance(runnable, Runnable) and type(runnable).ainvoke is not Runnable.ainvoke


def is_async_function(function: Any) -> bool:
    """Whether calling it gives something to await."""
    called = function if inspect.isroutine(function) else getattr(function, "__call__", function)  # noqa: B004
    return inspect.iscoroutinefunction(function) or inspect.iscoroutinefunction(called)


def _marked_async(function: Any) -> bool:
    """Look through the marks that the guards put on functions: they are async whatever is under them."""
    while hasattr(function, "__wrapped__") and _is_mark(function):
        function = function.__wrapped__
    return is_async_function(function) or inspect.isasyncgenfunction(function) or not callable(function)


def _is_mark(function: Any) -> bool:
    return str(getattr(function, "__globals__", {}).get("__name__", "")).startswith("guards.")


def _parts(runnable: Any) -> list[Any]:
    """What a composed runnable is made of."""
    steps = getattr(runnable, "steps", None) or getattr(runnable, "steps__", None) or []
    parts = list(steps.values() if isinstance(steps, Mapping) else steps)
    return parts + [part for name in ("bound", "runnable") if (part := getattr(runnable, name, None)) is not None]


def _node(builder: StateGraph[Any, Any, Any, Any], name: str, spec: Any) -> Node:
    defaults = builder._node_defaults
    return Node(
        name=name,
        function=function_of(spec.runnable),
        graph=spec.runnable if is_compiled(spec.runnable) else None,
        asynchronous=is_compiled(spec.runnable) or is_async(spec.runnable),
        reads=tuple(sorted(builder.schemas.get(spec.input_schema, ()))),
        input_schema=spec.input_schema,
        ends=tuple(spec.ends or ()),
        timeout=own_timeout(builder, spec),
        cached=bool(spec.cache_policy or defaults.cache_policy),
        retries=bool(spec.retry_policy or defaults.retry_policy),
        handler=spec.error_handler_node or ("the default handler" if defaults.error_handler else ""),
        is_handler=spec.is_error_handler,
        deferred=spec.defer,
    )


def own_timeout(builder: StateGraph[Any, Any, Any, Any], spec: Any) -> float | None:
    """LangGraph's own time-out of a node in seconds, if the author set one."""
    timeout = spec.timeout or builder._node_defaults.timeout
    limit = getattr(timeout, "run_timeout", timeout)
    return limit.total_seconds() if isinstance(limit, datetime.timedelta) else limit  # type: ignore[return-value]


def _route(source: str, label: str, branch: Any, known: frozenset[str]) -> Route:
    function = function_of(branch.path)
    declared = None if branch.ends is None else tuple(sorted(set(map(str, branch.ends.values()))))
    return Route(source, label, function, declared, () if declared else likely_ends(function, known))


def _kind(route: Route, end: str) -> Kind:
    if route.loop is not None:
        return "back" if end == route.loop.back_to else "then"
    return "fan-out" if route.fanout is not None else "route"


def takes_one(channel: Any) -> bool:
    """Whether a second value in one step is an error."""
    one = isinstance(channel, (LastValue, LastValueAfterFinish))
    return one or (isinstance(channel, (EphemeralValue, UntrackedValue)) and channel.guard)


def _channel(key: str, channel: Any) -> Channel:
    single = takes_one(channel)
    reducer = getattr(getattr(channel, "operator", None), "__name__", "")
    stored = not isinstance(channel, UntrackedValue)
    return Channel(key, getattr(channel, "ValueType", Any), single, stored, "" if single else reducer)
