"""Property: whatever is drawn and whatever its nodes do, a run takes no more than its ceiling, and could take all."""

import asyncio
import logging
import sys
from collections import Counter
from contextlib import suppress
from dataclasses import dataclass, field, replace
from statistics import median
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from kit import LOOSE, Log, named
from langchain_core.language_models import BaseChatModel
from langchain_core.messages import AIMessage
from langchain_core.outputs import ChatGeneration, ChatResult
from langgraph.graph import END, START, StateGraph
from langgraph.types import Command
from test_random_graphs import CASES, FAULTS, SLACK_SECONDS, Again, Block, Branches, Case, Drawer, Inner, Items, Step

from guards import Limits, Policy, ceiling, guard, loop
from guards.worst_case.ceiling import Ceiling
from state.guarded import Run

CALLS = 2
IN, OUT = 10, 20
"""Tokens of one call: what the guard estimates for "hello", and `reply_tokens`."""

EACH = Limits(calls=CALLS, input_tokens=CALLS * IN, output_tokens=CALLS * OUT, dollars=CALLS * (IN + 2 * OUT) / 1e6)
LAVISH = LOOSE.but(
    per_attempt=EACH, calls=None, tokens=None, dollars=None, reply_tokens=OUT, breaker=None, prices={"": (1.0, 2.0)}
)
QUIET = settings(
    max_examples=60, deadline=None, derandomize=True, database=None, suppress_health_check=list(HealthCheck)
)


class Talker(BaseChatModel):
    """A model that uses exactly what it was given; `made` counts its calls."""

    made: Counter[str]

    @property
    def _llm_type(self) -> str:
        return "talker"

    def _generate(self, *args: Any, **kwargs: Any) -> ChatResult:
        self.made["calls"] += 1
        usage: Any = {"input_tokens": IN, "output_tokens": OUT, "total_tokens": IN + OUT}
        return ChatResult(generations=[ChatGeneration(message=AIMessage("yes", usage_metadata=usage))])


@dataclass
class Spending(Drawer):
    """Draws nodes that call a model as often as they may, and once more, before they do what they do."""

    model: Talker = field(default_factory=lambda: Talker(made=Counter()))
    more: int = 1

    def body(self, name: str, does: str, then: str) -> Any:
        async def node(state: Log) -> Any:
            self.executed[name] += 1
            for _ in range(CALLS + self.more):
                with suppress(Exception):  # an author who never gives up
                    await self.model.ainvoke("hello")
            result = await FAULTS[does]()
            return Command(update=result, goto=then) if then and not isinstance(result, Command) else result

        return named(name, node)


async def run(case: Case, more: int = 1) -> tuple[Run, Ceiling, Spending]:
    drawer = Spending(case.policy, more=more)
    graph = guard(drawer.graph(case.blocks, 1), case.policy)
    result = await asyncio.wait_for(graph.ainvoke({"log": []}), 60)
    return result["run"], ceiling(graph), drawer


def lavish(case: Case, calls: int | None) -> Case:
    """The case with models in its nodes."""
    policy = case.policy.but(per_attempt=EACH, calls=calls, tokens=None, dollars=None, reply_tokens=OUT, breaker=None)
    return replace(case, policy=policy.but(prices=LAVISH.prices))


def terms(found: Ceiling) -> dict[str, int | None]:
    return {term.node: term.executions for term in found.terms}


@QUIET
@given(CASES, st.none() | st.integers(0, 12))
def test_no_run_takes_more_than_its_ceiling_whatever_fails(case: Case, calls: int | None) -> None:
    logging.getLogger("interlock").setLevel(logging.CRITICAL)
    record, found, drawer = asyncio.run(run(lavish(case, calls)))
    most, spent = found.most, record.spent
    assert None not in (most.calls, most.tokens, most.dollars) and not any(
        not one.held_by_run for one in found.unbounded
    )
    assert drawer.model.made["calls"] <= (most.calls or 0) and spent.calls <= (most.calls or 0)
    assert spent.input_tokens + spent.output_tokens <= (most.tokens or 0)
    assert spent.dollars <= (most.dollars or 0) * (1 + 1e-9)
    assert found.seconds is not None and spent.seconds <= found.seconds + SLACK_SECONDS
    assert record.ceiling is None or record.ceiling.calls == most.calls
    for name, times in terms(found).items():
        attempts = case.policy.attempts
        assert (
            times is not None
            and drawer.executed[name] <= times * attempts
            and drawer.executed[f"plain {name}"] <= times
        )


def working(block: Block) -> Block:
    """The block with nothing in it that fails, is settled early or leaves anything out."""
    match block:
        case Step():
            return working_step(block)
        case Branches():
            several = tuple(map(working_step, block.branches))
            return Branches(working_step(block.start), several, working_step(block.join), None)
        case Items():
            parts = map(working_step, (block.start, block.worker, block.join))
            start, worker, join = parts
            return Items(start, worker, block.at_most, block.at_most, join)
        case Again():
            return replace(
                block, body=tuple(map(working, block.body)), check=working_step(block.check), rounds=None, enough=True
            )
        case Inner():
            return replace(block, body=tuple(map(working, block.body)), seconds=20.0)


def working_step(step: Step) -> Step:
    return replace(step, does="works", plain="")


def test_a_run_without_failures_uses_its_whole_ceiling(capsys: pytest.CaptureFixture[str]) -> None:
    ratios: list[float] = []

    @QUIET
    @given(CASES)
    def measure(case: Case) -> None:
        blocks = tuple(map(working, case.blocks))
        record, found, drawer = asyncio.run(run(Case(blocks, LAVISH, False, None), more=0))
        assert record.outcome in ("complete", "partial"), record.stop_reason
        assert (found.most.tokens, found.most.calls) >= (0, drawer.model.made["calls"])
        ratios.append((found.most.calls or 0) / drawer.model.made["calls"])

    measure()
    with capsys.disabled():
        told = f"median {median(ratios):.2f}, max {max(ratios):.2f}, {len(ratios)} graphs"
        sys.stdout.write(f" ceiling / actual calls: {told}\n")
    assert median(ratios) == 1.0 and max(ratios) <= 1.1


def straight(*nodes: Any) -> StateGraph[Any, Any, Any, Any]:
    drawing: StateGraph[Any, Any, Any, Any] = StateGraph(Log)
    for before, (name, node) in zip((START, *(name for name, _ in nodes)), nodes, strict=False):
        drawing.add_node(name, node)
        drawing.add_edge(before, name)
    return drawing


@pytest.mark.parametrize("rounds", [1, 2, 3])
def test_loops_inside_each_other_multiply(rounds: int) -> None:
    async def node(state: Log) -> Log:
        return {"log": ["x"]}

    drawing = straight(("a", node), ("b", node), ("c", node))
    loop(drawing, "b", back_to="b", until=lambda state: False, then="c", at_most=rounds)
    loop(drawing, "c", back_to="b", until=lambda state: False, then=END, at_most=2)
    drawing.edges.discard(("b", "c"))
    drawing.edges.discard(("c", END))
    assert terms(ceiling(guard(drawing, Policy(clean_input=False, clean_output=False)))) == {
        "a": 1,
        "b": 2 * rounds,
        "c": 2,
    }
