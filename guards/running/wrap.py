"""Wrap: a copy of a drawing in which every node and every router is guarded."""

import asyncio
import copy
import logging
import threading
import time
import uuid
from collections import defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import replace
from typing import Any

from langgraph.graph import END, StateGraph

from guards.clean import Cleaning
from guards.drawings.drawing import draw, own_timeout, takes_one
from guards.drawings.wayout import distances, nearest
from guards.drawings.words import Gathering, words
from guards.gather import Fanout
from guards.loop import Loop
from guards.policy import Policy
from guards.running.attempt import current_attempt
from guards.running.fields import fields_of
from guards.running.node import GuardedNode
from guards.running.node_plan import NodePlan
from guards.running.route import GuardedRoute, RoutePlan
from guards.running.scope import note_begin
from guards.running.update import reducers_of
from guards.running.wiring import RUN, held, node_runnable
from guards.taint.agent import capabilities
from guards.worst_case.callless import decides_quietly
from guards.worst_case.steps import steps_of_a_round
from state.guarded import Ceiling, Guarded, Run, join
from state.label import USER

log = logging.getLogger("interlock")

Builder = StateGraph[Any, Any, Any, Any]


class Wrapping:
    """Turns a drawing and a policy into a guarded drawing.

    Args:
        drawing: The author's drawing; it is not changed.
        policy: The limits of the run.
        name: The graph's name.
        own: Limits of single nodes.
    """

    def __init__(self, drawing: Builder, policy: Policy, name: str, own: Mapping[str, Policy]) -> None:
        self.drawing = drawing
        self.policy = policy
        self.name = name
        self.gatherings = words(drawing).gatherings
        self.policies = {**words(drawing).policies, **own}
        self._ceilings: list[Ceiling | None] = []
        self._lock = threading.Lock()
        self.away = distances(drawing)
        self.reducers = reducers_of(drawing.channels) | {RUN: (Run, join)}
        self.single = frozenset(key for key, channel in drawing.channels.items() if takes_one(channel))
        self.fields = fields_of(drawing.schemas)
        self.may = {node: capabilities(_function(spec.runnable)) for node, spec in drawing.nodes.items()}
        declared = any(may is not None and not may.ours for may in self.may.values())
        self.labelled = policy.acts is not None or declared
        self.cleaned = _cleaned_at_once(drawing)
        self.nodes = {node: GuardedNode(self._node(node, spec)) for node, spec in drawing.nodes.items()}

    def builder(self) -> Builder:
        """The guarded copy."""
        copied = copy.copy(self.drawing)
        copied.schemas, copied.channels = dict(self.drawing.schemas), dict(self.drawing.channels)
        copied.managed = dict(self.drawing.managed)
        copied._add_schema(Guarded)
        copied.nodes = {
            node: replace(spec, runnable=node_runnable(node, self.nodes[node].__call__), timeout=None)
            for node, spec in self.drawing.nodes.items()
        }
        copied._node_defaults = replace(self.drawing._node_defaults, timeout=None)
        copied.branches = defaultdict(dict)
        for source, branches in self.drawing.branches.items():
            for label, branch in branches.items():
                guarded = node_runnable(f"route_{source}", GuardedRoute(self._route(source, branch)).__call__)
                copied.branches[source][label] = branch._replace(path=guarded)
        return copied

    def begin(self, given: Iterable[str] = ()) -> Run:
        """The record of a new run; a sub-agent's ends no later than its caller's attempt and shares its trace.

        Args:
            given: The state keys of its input: the user's own words, unless the caller knows better.
        """
        now, caller, ident = time.time(), current_attempt.get(), uuid.uuid4().hex
        deadlines = [] if self.policy.seconds is None else [now + self.policy.seconds]
        if caller is not None and caller.seconds != float("inf"):
            deadlines.append(now + caller.deadline - time.monotonic())
        trace = caller.scope.run.trace_id if caller is not None else ident
        note_begin(ident)
        labels = {key: USER for key in given if key != RUN} if self.labelled else {}
        return Run(
            id=ident,
            trace_id=trace,
            graph=self.name,
            started=now,
            deadline=min(deadlines, default=None),
            labels=labels,
        )

    async def ceiling(self) -> Ceiling | None:
        """The most that a run can take; reckoned once, in a thread: sources are read."""
        if not self._ceilings:
            await asyncio.to_thread(self._reckon_once)
        return self._ceilings[0]

    def _reckon_once(self) -> None:
        with self._lock:
            if not self._ceilings:
                self._ceilings.append(self._reckoned())

    def _reckoned(self) -> Ceiling | None:
        from guards.ledger.afford import recorded
        from guards.worst_case.ceiling import reckoned

        try:
            return recorded(reckoned(self.drawing, self.policy, self.policies, self.name))
        except Exception as error:  # a figure less, no reason to fail
            log.warning("the ceiling is not known", extra={"graph": self.name, "error": type(error).__name__})
            return None

    def _node(self, name: str, spec: Any) -> NodePlan:
        function = _function(spec.runnable)
        plain = getattr(function, "fallback", None)
        own = self.policies.get(name, self.policy)
        gathering = next((g for g in self.gatherings if name in g.branches), None)
        return NodePlan(
            name=name,
            body=spec.runnable,
            policy=self.policy.but(
                timeout=self._timeout(own, spec), attempts=own.attempts, per_attempt=own.per_attempt
            ),
            begin=self.begin,
            targets=frozenset(spec.ends or ()),
            reducers=self.reducers,
            ceiling=self.ceiling,
            single=self.single,
            fields=self.fields,
            plain=None if plain is None else node_runnable(name, plain),
            withhold=getattr(function, "withhold", None),
            closing=bool(getattr(function, "closing", False)),
            branch=gathering is not None,
            place=_place(name, gathering),
            branches=len(gathering.branches) if gathering is not None else 0,
            optional=gathering is not None and gathering.min_ok is not None and name not in gathering.required,
            way_out=nearest(list(spec.ends), self.away) if spec.ends and not self._has_edges(name) else "",
            quorums=tuple(g for g in self.gatherings if g.into == name and g.min_ok),
            may=self.may[name] if self.labelled else None,
            labelled=self.labelled,
            cleaned={} if getattr(function, "cleans", None) else self.cleaned,
        )

    def _timeout(self, own: Policy, spec: Any) -> float | None:
        """The node's time-out; one of LangGraph's own is kept by the guard too, since there it would end the run."""
        limits = (own.timeout, own.per_attempt.seconds, own_timeout(self.drawing, spec))
        return min((limit for limit in limits if limit is not None), default=None)

    def _has_edges(self, name: str) -> bool:
        return bool(self.drawing.branches.get(name)) or any(start == name for start, _ in self.drawing._all_edges)

    def _route(self, source: str, branch: Any) -> RoutePlan:
        ends = branch.ends or {}
        word = _function(branch.path)
        nearest_label = min(ends, key=lambda label: self.away.get(ends[label], len(self.away) + 1))
        return RoutePlan(
            source=source,
            path=held(branch.path),
            policy=self.policy,
            way_out=word.then if isinstance(word, Loop) else word.into if isinstance(word, Fanout) else nearest_label,
            allowed=frozenset(ends),
            nodes=frozenset(ends.values()) - {END},
            word=word if isinstance(word, (Loop, Fanout)) else None,
            quiet=decides_quietly(word),
            round_steps=steps_of_a_round(draw(self.drawing), word) if isinstance(word, Loop) else 0,
        )


def _cleaned_at_once(drawing: Builder) -> dict[str, Cleaning]:
    """The keys that an output cleaner cleans, and its rule: nothing uncleaned is kept in between."""
    functions = [_function(spec.runnable) for spec in drawing.nodes.values()]
    rules = [(key, one.rule) for one in functions if getattr(one, "cleans", "") == "output" for key in one.keys]
    unless = {key for key, rule in rules if rule.at_once is None and _holds_messages(drawing, key)}
    return {key: rule for key, rule in rules if rule.at_once is not False and key not in unless}


def _holds_messages(drawing: Builder, key: str) -> bool:
    channel = drawing.channels.get(key)
    return "message" in f"{getattr(channel, 'ValueType', '')} {getattr(channel, 'operator', '')}".lower()


def _place(name: str, gathering: Gathering | None) -> int | None:
    """Which of the named branches a node is, if it may be spared."""
    if gathering is None or name in gathering.required:
        return None
    return gathering.branches.index(name)


def _function(runnable: Any) -> Any:
    """The author's function inside LangGraph's runnable."""
    return getattr(runnable, "func", None) or getattr(runnable, "afunc", None) or runnable
