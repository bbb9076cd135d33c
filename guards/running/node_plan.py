"""Node plan: what the guard knows about one node of a drawing."""

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from langchain_core.runnables import Runnable

from guards.clean import Cleaning
from guards.drawings.words import Gathering
from guards.policy import Policy
from guards.running.fields import Fields
from guards.running.update import Reducers
from guards.taint.agent import Capabilities
from state.guarded import Ceiling, Run


@dataclass(frozen=True)
class NodePlan:
    """What the guard knows about one node.

    Attributes:
        name: Its name in the drawing.
        body: The author's runnable.
        policy: Its limits.
        begin: Makes a run record when the state holds none.
        targets: Where it may go by `Command`, as declared.
        reducers: What the graph's keys do with what a node returns.
        single: The keys that take one value a step.
        fields: The keys that LangGraph validates when they are read.
        plain: The fallback, as a runnable.
        withhold: For cleaners: what to return when cleaning itself failed, so that nothing unclean gets out.
        closing: Runs in an ending run too.
        branch: It is a branch of a gathering: its loss does not end the run.
        place: Its place among the named branches of its gathering, from 0; None for a branch that is required.
        branches: How many there are.
        optional: Its loss alone does not make the run partial (the join judges).
        way_out: Where to go when the node, which routes by `Command`, could not say it.
        ceiling: The most that a run of the graph can take, None when nobody can tell.
        quorums: The gatherings that it joins and that state a quorum.
        may: What it may read, call and write, where that is declared.
        labelled: Whether the graph keeps labels of its values.
        cleaned: How what is written under a key is cleaned before it is kept.
    """

    name: str
    body: Runnable[Any, Any]
    policy: Policy
    begin: Callable[[], Run]
    targets: frozenset[str]
    reducers: Reducers
    ceiling: Callable[[], Awaitable[Ceiling | None]]
    single: frozenset[str] = frozenset()
    fields: Fields = field(default_factory=dict)
    plain: Runnable[Any, Any] | None = None
    withhold: Callable[[Any], Any] | None = None
    closing: bool = False
    branch: bool = False
    place: int | None = None
    branches: int = 0
    optional: bool = False
    way_out: str = ""
    quorums: tuple[Gathering, ...] = ()
    may: Capabilities | None = None
    labelled: bool = False
    cleaned: Mapping[str, Cleaning] = field(default_factory=dict)
