"""Property: whatever is drawn with our words and whatever its nodes do, the run ends inside its limits."""

import asyncio
import logging
import time
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from itertools import count
from typing import Any, get_args

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from kit import LOOSE, Log, named
from langgraph.checkpoint.memory import InMemorySaver
from langgraph.graph import END, START, StateGraph
from langgraph.types import Command, Send

from guards import Policy, Refused, Transient, closing, fallback, gather, guard, loop, request_stop
from state.guarded import Outcome

SLACK_SECONDS = 1.0
"""A loaded machine may be late by this much; a run without limits would be later."""

EXAMPLES = 120

# -- what a node may do to a run


async def _hang() -> None:
    await asyncio.Event().wait()


async def _swallow() -> None:
    for _ in range(2):
        try:
            await asyncio.Event().wait()
        except asyncio.CancelledError:
            continue


async def _slow() -> None:
    await asyncio.sleep(0.01)


_left_behind: set[asyncio.Task[None]] = set()


async def _task_left_behind() -> None:
    task = asyncio.create_task(_hang())
    _left_behind.add(task)
    task.add_done_callback(_left_behind.discard)


def _raise(error: Callable[[], BaseException]) -> Callable[[], Any]:
    async def fault() -> None:
        raise error()

    return fault


def _return(value: Any) -> Callable[[], Any]:
    async def fault() -> Any:
        return value

    return fault


WORKS = {"works": _return({"log": ["done"]}), "is slow": _slow, "leaves a task": _task_left_behind}
FAULTS = WORKS | {
    "hangs": _hang,
    "swallows its cancellation": _swallow,
    "raises": _raise(lambda: ValueError("no")),
    "raises a group": _raise(lambda: ExceptionGroup("several", [ValueError("no"), KeyError("no")])),
    "cancels itself": _raise(asyncio.CancelledError),
    "exits": _raise(lambda: SystemExit(2)),
    "refuses": _raise(lambda: Refused("not this question")),
    "is busy for a minute": _raise(lambda: Transient("busy", retry_after=60)),
    "is busy for a moment": _raise(lambda: Transient("busy", retry_after=0.001)),
    "goes nowhere": _return(Command(goto="nowhere")),
    "sends nowhere": _return(Command(goto=[Send("nowhere", {})])),
    "returns a number": _return(42),
    "returns a text": _return("an apology"),
    "returns a list of numbers": _return([1, 2]),
    "returns an unknown key": _return({"unknown": 1}),
    "returns what the reducer cannot add": _return({"log": 3}),
    "writes the record itself": _return({"run": "complete"}),
    "updates with garbage": _return(Command(update=42)),
}
PLAIN = ("", "works", "raises", "hangs", "returns a number", "swallows its cancellation")


# -- drawings


@dataclass(frozen=True)
class Step:
    """One node, perhaps with a fallback, perhaps closing, perhaps routing by a command of its own."""

    does: str
    plain: str = ""
    closes: bool = False
    commands: bool = False


@dataclass(frozen=True)
class Branches:
    """A node, branches beside each other, a join."""

    start: Step
    branches: tuple[Step, ...]
    join: Step
    min_ok: int | None


@dataclass(frozen=True)
class Items:
    """A node, one worker for each item, a join. `items` None: the router fails."""

    start: Step
    worker: Step
    items: int | None
    at_most: int
    join: Step


@dataclass(frozen=True)
class Again:
    """Blocks that go round until the node behind them is content. `rounds` None: never; 0: the condition fails."""

    body: "tuple[Block, ...]"
    check: Step
    rounds: int | None
    at_most: int | None
    enough: bool


@dataclass(frozen=True)
class Inner:
    """A guarded graph as a node."""

    body: "tuple[Block, ...]"
    seconds: float


Block = Step | Branches | Items | Again | Inner


@dataclass(frozen=True)
class Case:
    """One run."""

    blocks: tuple[Block, ...]
    policy: Policy
    saved: bool
    stopped_after: float | None


def steps() -> st.SearchStrategy[Step]:
    """Mostly nodes that work, else nothing would ever come after the first node."""
    does = st.one_of(st.sampled_from(sorted(WORKS)), st.sampled_from(sorted(FAULTS)))
    return st.builds(Step, does, st.sampled_from(PLAIN), st.booleans(), st.booleans())


def blocks() -> st.SearchStrategy[tuple[Block, ...]]:
    """Up to three blocks, two levels deep."""
    plain = st.lists(steps(), min_size=1, max_size=5).map(tuple)
    flat = st.one_of(
        steps(),
        st.builds(Branches, steps(), plain, steps(), st.none() | st.integers(0, 3)),
        st.builds(Items, steps(), steps(), st.none() | st.integers(0, 6), st.integers(1, 3), steps()),
    )

    def deeper(inner: st.SearchStrategy[Any]) -> st.SearchStrategy[Any]:
        body = st.lists(inner, min_size=1, max_size=2).map(tuple)
        again = st.builds(
            Again, body, steps(), st.none() | st.integers(0, 3), st.none() | st.integers(1, 3), st.booleans()
        )
        return st.one_of(again, st.builds(Inner, body, st.sampled_from([0.1, 5.0])))

    return st.lists(st.recursive(flat, deeper, max_leaves=4), min_size=1, max_size=3).map(tuple)


def policies() -> st.SearchStrategy[Policy]:
    """Limits small enough to be met."""
    return st.builds(
        lambda seconds, timeout, attempts: LOOSE.but(seconds=seconds, timeout=timeout, attempts=attempts, rounds=2),
        st.sampled_from([0.05, 0.3, 0.6]),
        st.sampled_from([0.02, 0.06]),
        st.integers(1, 2),
    )


CASES = st.builds(Case, blocks(), policies(), st.booleans(), st.none() | st.sampled_from([0.0, 0.02]))


# -- from a case to a graph


@dataclass
class Drawer:
    """Draws blocks back to front, because a loop must name the node behind it.

    Attributes:
        executed: How often each node was run.
        caps: How often it may run: attempts times the rounds of the loops and the width of the fan-outs around it.
    """

    policy: Policy
    executed: "Counter[str]" = field(default_factory=Counter)
    caps: dict[str, int] = field(default_factory=dict)
    numbers: Iterator[int] = field(default_factory=count)

    def graph(self, body: tuple[Block, ...], times: int) -> StateGraph[Any, Any, Any, Any]:
        drawing: StateGraph[Any, Any, Any, Any] = StateGraph(Log)
        drawing.add_edge(START, self.chain(drawing, body, END, times))
        return drawing

    def chain(self, drawing: Any, body: tuple[Block, ...], then: str, times: int) -> str:
        for block in reversed(body):
            then = self.block(drawing, block, then, times)
        return then

    def block(self, drawing: Any, block: Block, then: str, times: int) -> str:
        match block:
            case Step():
                return self.step(drawing, block, then, times)
            case Branches():
                return self.branches(drawing, block, then, times)
            case Items():
                return self.items(drawing, block, then, times)
            case Again():
                return self.again(drawing, block, then, times)
            case Inner():
                return self.inner(drawing, block, then, times)

    def branches(self, drawing: Any, block: Branches, then: str, times: int) -> str:
        join, start = self.step(drawing, block.join, then, times), self.node(drawing, block.start, times)
        several = [self.node(drawing, branch, times) for branch in block.branches]
        min_ok = None if block.min_ok is None else min(block.min_ok, len(several))
        gather(drawing, start, several, into=join, min_ok=min_ok)
        return start

    def items(self, drawing: Any, block: Items, then: str, times: int) -> str:
        join, start = self.step(drawing, block.join, then, times), self.node(drawing, block.start, times)
        worker = self.node(drawing, block.worker, times * block.at_most)
        items = block.items

        def over(state: Log) -> list[Log]:
            assert items is not None, "this router fails"
            return [{"topic": str(item)} for item in range(items)]

        gather(drawing, start, worker, into=join, over=over, at_most=block.at_most)
        return start

    def again(self, drawing: Any, block: Again, then: str, times: int) -> str:
        times *= block.at_most or self.policy.rounds
        check = self.node(drawing, block.check, times)
        back_to = self.chain(drawing, block.body, check, times)
        rounds, executed = block.rounds, self.executed

        def until(state: Log) -> bool:
            assert rounds != 0, "this condition fails"
            return rounds is not None and executed[check] >= rounds

        loop(
            drawing,
            check,
            back_to=back_to,
            until=until,
            then=then,
            at_most=block.at_most,
            enough=block.enough,
            progress=None,
        )
        return back_to

    def inner(self, drawing: Any, block: Inner, then: str, times: int) -> str:
        name = f"inner{next(self.numbers)}"
        policy = self.policy.but(seconds=block.seconds)
        drawing.add_node(name, guard(self.graph(block.body, times * self.policy.attempts), policy, name=name))
        drawing.add_edge(name, then)
        return name

    def step(self, drawing: Any, step: Step, then: str, times: int) -> str:
        name = self.node(drawing, step, times, then if step.commands else "")
        if not step.commands:
            drawing.add_edge(name, then)
        return name

    def node(self, drawing: Any, step: Step, times: int, then: str = "") -> str:
        name = f"n{next(self.numbers)}"
        self.caps[name], self.caps[f"plain {name}"] = times * self.policy.attempts, times
        body = self.body(name, step.does, then)
        body = fallback(body, self.body(f"plain {name}", step.plain, then)) if step.plain else body
        body = closing(body) if step.closes else body
        drawing.add_node(name, body, destinations=(then,) if then else None)
        return name

    def body(self, name: str, does: str, then: str) -> Any:
        async def node(state: Log) -> Any:
            self.executed[name] += 1
            result = await FAULTS[does]()
            if not then or isinstance(result, Command):
                return result
            return Command(update=result, goto=then)

        return named(name, node)


async def run(case: Case) -> tuple[dict[str, Any], float, Drawer]:
    """One run: what came out, how long it took, and what was executed."""
    drawer = Drawer(case.policy)
    graph = guard(drawer.graph(case.blocks, 1), case.policy)
    graph = graph.copy(update={"checkpointer": InMemorySaver()}) if case.saved else graph
    thread = f"thread {time.monotonic_ns()}"
    if case.stopped_after is not None:
        asyncio.get_running_loop().call_later(case.stopped_after, request_stop, thread, "somebody stopped it")
    began = time.monotonic()
    result = await asyncio.wait_for(graph.ainvoke({"log": []}, {"configurable": {"thread_id": thread}}), 60)
    return result, time.monotonic() - began, drawer


@settings(
    max_examples=EXAMPLES,
    deadline=None,
    derandomize=True,
    database=None,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large],
)
@given(CASES)
def test_every_run_of_every_graph_ends_inside_its_limits_with_a_valid_outcome(case: Case) -> None:
    logging.getLogger("interlock").setLevel(logging.CRITICAL)
    result, seconds, drawer = asyncio.run(run(case))
    record = result["run"]
    assert record.outcome in get_args(Outcome)
    assert (record.outcome == "complete") == (record.stop_reason == "")
    assert case.policy.seconds is not None and seconds <= case.policy.seconds + SLACK_SECONDS
    over = {name: (times, drawer.caps[name]) for name, times in drawer.executed.items() if times > drawer.caps[name]}
    assert over == {}
