"""Rules about the state: who writes what at the same time, and what a checkpoint can hold."""

import functools
from collections.abc import Iterator

from guards.checks.hole import Hole
from guards.drawings.drawing import Drawing, Node, output_keys
from guards.drawings.serializable import flaws
from guards.drawings.source import read, return_keys
from guards.drawings.together import pairs
from guards.policy import Policy
from state.guarded import Run

RUN = "run"


def parallel_writes(drawing: Drawing, policy: Policy) -> Iterator[Hole]:
    """Two nodes of one step that write a key without a reducer: LangGraph fails the whole run (guide: D5)."""
    single = {key for key, channel in drawing.channels.items() if channel.single}
    keys = functools.cache(lambda name: writes(drawing, drawing.nodes[name]) & single)
    meeting: dict[str, set[str]] = {}
    for first, second in pairs(drawing):
        for key in keys(first) & keys(second):
            meeting.setdefault(key, set()).update((first, second))
    for key, nodes in meeting.items():
        names = ", ".join(sorted(nodes))
        several = f"{names} run side by side and all write" if len(nodes) > 1 else f"several runs of {names} write"
        yield Hole(
            "parallel-writes",
            names,
            f"{several} '{key}', which has no reducer",
            f"give it one: {key}: Annotated[..., reducer], e.g. Annotated[list[T], operator.add]",
        )


def writes(drawing: Drawing, node: Node) -> frozenset[str]:
    """Keys that a node is seen to write: by its returns, else by its return annotation. Unknown ones are not there."""
    if node.graph is not None:
        return output_keys(node.graph) & frozenset(drawing.channels)
    found: set[str] = set()
    for function in (node.function, node.fallback):
        if function is not None:
            reading = read(function)
            found |= reading.keys
            if not reading.sure:
                found |= return_keys(function, but=drawing.state_schema) or frozenset()
    return frozenset(found & set(drawing.channels))


def not_serializable(drawing: Drawing, policy: Policy) -> Iterator[Hole]:
    """State that a checkpoint cannot hold, or gives back changed (guide: F1)."""
    live = {key for key, channel in drawing.channels.items() if not channel.stored}
    seen: set[tuple[str, str]] = set()
    for schema in drawing.schemas:
        for flaw in flaws(schema, skip=live):
            key = flaw.path.partition(".")[2]
            if (key, flaw.problem) not in seen:
                seen.add((key, flaw.problem))
                yield Hole("not-serializable", flaw.path, flaw.problem, flaw.cure)


def keyless_state(drawing: Drawing, policy: Policy) -> Iterator[Hole]:
    """A state that is one value: there is no place for the run's record."""
    if "__root__" in drawing.channels:
        cure = "class State(TypedDict): value: ... and StateGraph(State)"
        yield Hole("keyless-state", "START", "the state has no keys, so the run's record has no place in it", cure)


def taken_key(drawing: Drawing, policy: Policy) -> Iterator[Hole]:
    """The key `run` belongs to the guard."""
    channel = drawing.channels.get(RUN)
    if channel is not None and getattr(channel.holds, "__origin__", channel.holds) is not Run:
        cure = "rename your key, or inherit state.guarded.Guarded to read the record"
        yield Hole("taken-key", RUN, "the state key 'run' is the guard's record of the run", cure)
