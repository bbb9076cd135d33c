"""The guarded router: declared ways only, bounded rounds and width, the shortest way out of an ending run."""

import asyncio
from dataclasses import dataclass
from typing import Any

from langchain_core.runnables import Runnable, RunnableConfig
from langgraph.types import Send

from guards.errors import Permanent
from guards.gather import Fanout
from guards.loop import Loop
from guards.policy import Policy
from guards.wiring import read_run, write_run
from state.guarded import Missing, Run


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
    """

    source: str
    path: Runnable[Any, Any]
    policy: Policy
    way_out: Any
    allowed: frozenset[Any]
    nodes: frozenset[str]
    word: Loop | Fanout | None = None


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
            route = self._bounded(await self._asked(state, config), run, config)
            self._check(route)
            return route
        except Exception as error:
            text = str(error) if isinstance(error, Permanent) else type(error).__name__
            write_run(config, Run(stop=f"the router after '{self.plan.source}' failed: {text}"))
            return self.plan.way_out

    async def _asked(self, state: Any, config: RunnableConfig) -> Any:
        if self.plan.word is not None:
            return self.plan.word(state)
        async with asyncio.timeout(self.plan.policy.timeout):
            return await self.plan.path.ainvoke(state, config)

    def _bounded(self, route: Any, run: Run, config: RunnableConfig) -> Any:
        if isinstance(self.plan.word, Loop):
            return self._rounds(self.plan.word, route, run, config)
        return self._width(route, config) if isinstance(route, list) else route

    def _rounds(self, word: Loop, route: Any, run: Run, config: RunnableConfig) -> Any:
        """Count this round; at the limit the loop ends."""
        rounds = run.rounds.get(word.source, 0) + 1
        limit = word.at_most or self.plan.policy.rounds
        if route == word.back_to and rounds < limit:
            write_run(config, Run(rounds={word.source: 1}))
            return route
        missing: tuple[Missing, ...] = ()
        if route == word.back_to and not word.enough:
            reason = f"not settled after {rounds} of {limit} rounds"
            missing = (Missing(what=word.source, status="stopped", reason=reason),)
        write_run(config, Run(rounds={word.source: 1 - rounds}, missing=missing))
        return word.then

    def _width(self, route: list[Any], config: RunnableConfig) -> Any:
        """Cut a fan-out at its cap; what is not started is named."""
        cap = self.plan.word.at_most if isinstance(self.plan.word, Fanout) else self.plan.policy.fan_out
        sends = [step for step in route if isinstance(step, Send)]
        if cap is None or len(sends) <= cap:
            return route
        reason = f"{len(sends) - cap} of {len(sends)} branches not started: the cap is {cap}"
        write_run(config, Run(missing=(Missing(what=sends[0].node, status="refused", reason=reason),)))
        kept = set(map(id, sends[:cap]))
        return [step for step in route if not isinstance(step, Send) or id(step) in kept]

    def _check(self, route: Any) -> None:
        steps = route if isinstance(route, (list, tuple)) else (route,)
        for step in steps:
            if isinstance(step, Send):
                if step.node not in self.plan.nodes:
                    raise Permanent(f"it sends to '{step.node}', which is no node of this graph")
            elif step not in self.plan.allowed:
                raise Permanent(f"it returned {step!r}, which is not among its declared targets")
