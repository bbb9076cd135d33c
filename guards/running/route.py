"""The guarded router: declared ways only, bounded rounds and width, the shortest way out of an ending run."""

import time
from contextvars import copy_context
from dataclasses import dataclass
from typing import Any

from langchain_core.runnables import Runnable, RunnableConfig
from langgraph.errors import GraphBubbleUp, GraphInterrupt
from langgraph.types import Send

from guards.calls.calls import leave_open_calls
from guards.calls.meter import METER
from guards.degrade import in_force, narrower, step_down
from guards.errors import Interlock, Permanent, Stopped
from guards.gather import Fanout
from guards.loop import Loop
from guards.policy import Policy
from guards.running.attempt import NOTHING, Attempt, contained
from guards.running.current import current_attempt
from guards.running.progress import compared, standstill
from guards.running.scope import enter, idle
from guards.running.width import narrowed
from guards.running.wiring import (
    answers_given,
    asked_before,
    paused_or_lost,
    read_key,
    read_run,
    role_of,
    step_of,
    steps_left,
    tenant_of,
    thread_of,
    write_run,
)
from guards.taint.taint import around, beginning
from guards.text.sweep import hidden
from state.guarded import Missing, Progress, Run

LONGEST = 300
"""Characters that are told of what a router returned."""


@dataclass(frozen=True)
class RoutePlan:
    """What the guard knows about one router.

    Attributes:
        source: The node it decides for.
        path: The author's router.
        policy: The graph's limits.
        way_out: What it would return to take the shortest way to the end.
        allowed: What it may return.
        nodes: The nodes that a `Send` may name.
        word: The `Loop` or `Fanout` it was made by, if any.
        quiet: The word's own function surely makes no call, so it needs no attempt: no time-out, no ledger.
        round_steps: For a loop: supersteps that the run needs to end after one more round.
    """

    source: str
    path: Runnable[Any, Any]
    policy: Policy
    way_out: Any
    allowed: frozenset[Any]
    nodes: frozenset[str]
    word: Loop | Fanout | None = None
    quiet: bool = False
    round_steps: int = 0


class GuardedRoute:
    """One execution-independent wrapper around a router."""

    def __init__(self, plan: RoutePlan) -> None:
        self.plan = plan

    async def __call__(self, state: Any, config: RunnableConfig) -> Any:
        """Decide where the run goes on."""
        run = read_run(config, fresh=True)
        if run.ending:
            return self.plan.way_out
        try:
            steps = self._steps_down(run, config)
            route = self._bounded(await self._asked(state, config, run), state, run, config, steps)
            self._check(route)
            return hidden(route)
        except GraphBubbleUp:
            raise
        except Exception as error:
            write_run(config, Run(stop=self._why(error)))
            return self.plan.way_out

    def _why(self, error: Exception) -> str:
        if isinstance(error, Stopped):
            return error.reason
        text = hidden(str(error)) if isinstance(error, Interlock) else type(error).__name__
        return f"the router after '{self.plan.source}' failed: {text}"

    async def _asked(self, state: Any, config: RunnableConfig, run: Run) -> Any:
        if self.plan.word is not None and self.plan.quiet:
            return await contained(_answer(self.plan.word, state))
        scope = enter(run, thread_of(config)[0], self.plan.policy, tenant_of(config), role_of(config))
        place, limits = step_of(config)[1], self.plan.policy.per_attempt
        read = run.taint | scope.taint[0]
        taint = beginning(self.plan.policy.acts, lambda key: read_key(config, key), read, run.vouched, around())
        answers = answers_given(config)
        attempt = Attempt(
            scope,
            self._seconds(run),
            METER,
            node=self.plan.source,
            place=place,
            limits=limits,
            taint=taint,
            answers=answers,
            asked=await asked_before(config) if answers else (),
        )
        try:
            return await attempt.run(self.plan.path.ainvoke(state, config), copy_context(), stoppable=True)
        except GraphInterrupt as error:
            raise paused_or_lost(GraphInterrupt(hidden(error.args[0])), config) from None
        finally:
            leave_open_calls(attempt)
            if taint.label != read:
                write_run(config, Run(taint=taint.label))
            if attempt.spent is not NOTHING:
                write_run(config, Run(spent=attempt.spent))

    def _seconds(self, run: Run) -> float:
        """What the router's one attempt may take: its time-out, and no more than the run has left."""
        policy = self.plan.policy
        left = float("inf") if run.deadline is None else max(0.0, run.deadline + idle(run) - time.time())
        return left if policy.timeout is None else min(policy.timeout, left)

    def _steps_down(self, run: Run, config: RunnableConfig) -> frozenset[str]:
        """What the run has given up."""
        steps = in_force(current_attempt.get())
        if not self.plan.policy.degrade:
            return steps
        scope = enter(run, thread_of(config)[0], self.plan.policy)
        added = step_down(scope, run, self.plan.policy, idle(run))
        if added.degraded:
            write_run(config, added)
        return steps.union(scope.degraded)

    def _bounded(self, route: Any, state: Any, run: Run, config: RunnableConfig, steps: frozenset[str]) -> Any:
        if isinstance(self.plan.word, Loop):
            limit = 1 if "single agent" in steps else self.plan.word.at_most or self.plan.policy.rounds
            return self._rounds(self.plan.word, limit, route, state, run, config)
        return self._width(route, config, steps)

    def _rounds(self, word: Loop, limit: int, route: Any, state: Any, run: Run, config: RunnableConfig) -> Any:
        """Count this round; at the limit, and when it brought nothing new, the loop ends."""
        rounds = run.rounds.get(word.source, 0) + 1
        more = route == word.back_to and rounds < limit
        progress = _progress(word, state, run) if more and limit > 2 else None  # of two rounds none repeats another
        idle_round = standstill(progress) if progress else ""
        again = more and not idle_round
        if again and steps_left(config) >= self.plan.round_steps:
            kept = {word.source: progress} if progress else {}
            write_run(config, Run(rounds={word.source: 1}, progress=kept))
            return route
        missing: tuple[Missing, ...] = ()
        if route == word.back_to and not word.enough:
            reason = f"no progress: {idle_round}" if idle_round else f"not settled after {rounds} of {limit} rounds"
            missing = (Missing(what=word.source, status="stopped", reason=reason),)
        stop = "the run's recursion_limit leaves no steps for another round: raise it in the config" if again else ""
        over = Run(rounds={word.source: 1 - rounds}, progress={word.source: Progress()}, missing=missing, stop=stop)
        write_run(config, over)
        return word.then

    def _width(self, route: Any, config: RunnableConfig, steps: frozenset[str]) -> Any:
        """Cut a fan-out at its cap."""
        drawn = self.plan.word.at_most if isinstance(self.plan.word, Fanout) else self.plan.policy.fan_out
        cap = narrower(drawn, steps)
        route, lost = narrowed(route, cap)
        if lost:
            write_run(config, Run(missing=lost))
        return route

    def _check(self, route: Any) -> None:
        steps = route if isinstance(route, (list, tuple)) else (route,)
        if not steps:
            raise Permanent("it chose no way on: return a declared target, END among them if the branch may end here")
        for step in steps:
            if isinstance(step, Send):
                if step.node not in self.plan.nodes:
                    raise Permanent(f"it sends to '{step.node}', which is not among its declared targets")
            elif step not in self.plan.allowed:
                raise Permanent(f"it returned {step!r}, which is not among its declared targets"[:LONGEST])


def _progress(word: Loop, state: Any, run: Run) -> Progress | None:
    """What was seen of the loop's rounds, this one included; None when nobody asks or nobody can tell."""
    if word.progress is None:
        return None
    return compared(word.progress(state), run.progress.get(word.source, Progress()))


async def _answer(word: Loop | Fanout, state: Any) -> Any:
    return word(state)
