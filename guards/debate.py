"""Debate: agents that argue, and an answer that comes out (guide: C6, "agents argue for hours without a conclusion").

What counts: exchanges, in each of which every agent speaks once, side by side, knowing what was said before; and wall
seconds since the first of them, across a resume. From the `answer_after`-th exchange on an answer is picked: what all
agree on, else what the judge says, else what most hold, else what the first named agent holds. An exchange in which
nobody moves, or that repeats an earlier one (ping-pong), is the last. An agent that fails or hangs costs only itself:
what it said last stands. Not covered: whether the answer is right.
"""

import asyncio
import time
from collections import Counter
from collections.abc import Awaitable, Callable, Sequence
from typing import Any, Final

from langgraph.graph import StateGraph

from guards.degrade import degraded
from guards.errors import Permanent
from guards.fallback import closing
from guards.gather import gather
from guards.loop import loop
from guards.taint.agent import handing_on, ours
from state.debate import Debate, Decided, Opinion, Position

EXCHANGES: Final = 5
ANSWER_AFTER: Final = 3
SECONDS: Final = 120.0
"""The guide's figures: max_rounds=5, an answer after 3 exchanges, 120 s."""

SHORTEST_SECONDS: Final = 0.05

Agent = Callable[[Any], Awaitable[Opinion]]
Alike = Callable[[str], object]


def folded(answer: str) -> str:
    """What is compared of an answer: its letters and digits, lower case."""
    return " ".join("".join(c if c.isalnum() else " " for c in answer.casefold()).split())


def debate(
    graph: StateGraph[Any, Any, Any, Any],
    start: str,
    agents: Sequence[Agent],
    *,
    then: str,
    judge: Agent | None = None,
    name: str = "debate",
    at_most: int = EXCHANGES,
    answer_after: int = ANSWER_AFTER,
    seconds: float = SECONDS,
    alike: Alike = folded,
) -> None:
    """Let agents argue after `start` until an answer is picked, then go on.

    The state needs the key `debate: Annotated[Debate, discuss]` (`state.debate`); outcome and dissent are in it.

    Args:
        graph: The drawing.
        start: The node after which the debate begins.
        agents: Async functions from the state to an `Opinion`, at least 2; the first named wins a tie.
        then: Where the run goes on.
        judge: Asked from the `answer_after`-th exchange on when they do not agree; an answer that nobody holds, or an
            empty one, lets them go on.
        name: What its nodes are called after.
        at_most: Exchanges.
        answer_after: The exchange from which on an answer is picked.
        seconds: Wall time of the whole debate; what remains of it bounds every agent.
        alike: Answers for which it gives the same are the same answer.

    Raises:
        ValueError: A limit is no limit, or there are fewer than 2 agents, or two of one name.
    """
    names = [agent.__name__ for agent in agents]
    if len(set(names)) < 2 or len(set(names)) < len(names):
        raise ValueError(f"debate '{name}' needs at least 2 agents with different names, not {names}")
    if not (1 <= answer_after <= at_most and seconds > 0):
        raise ValueError(f"debate '{name}': 1 <= answer_after <= at_most and seconds > 0 must hold")
    rules = _Rules(names, judge is not None, at_most, answer_after, seconds, alike)
    decide = f"{name}_decide"
    graph.add_node(name, ours(closing(_named(name, rules.open)), "debate"))
    graph.add_node(decide, ours(closing(_named(decide, rules.decide)), "debate"))
    graph.add_edge(start, name)
    meet = decide if judge is None else f"{name}_judge"
    if judge is not None:
        graph.add_node(meet, handing_on(_named(meet, rules.judging(judge)), judge, "debate"))
        graph.add_edge(meet, decide)
    speakers = [handing_on(_named(one.__name__, rules.speaking(one)), one, "debate") for one in agents]
    gather(graph, name, speakers, into=meet)
    loop(graph, decide, back_to=name, until=_is_over, then=then, at_most=at_most, progress=None)


def _is_over(state: Any) -> bool:
    return _debate(state).over


def _debate(state: Any) -> Debate:
    held = state.get("debate") if isinstance(state, dict) else getattr(state, "debate", None)
    return held or Debate()


def _named(name: str, node: Any) -> Any:
    """A function with a name of its own that takes the whole state."""

    async def named(state: Any) -> Any:
        return await node(state)

    named.__name__ = named.__qualname__ = name
    return named


class _Rules:
    """What one debate's nodes do."""

    def __init__(
        self, agents: Sequence[str], judged: bool, at_most: int, answer_after: int, seconds: float, alike: Alike
    ) -> None:
        self.agents = agents
        self.judged = judged
        self.at_most = at_most
        self.answer_after = answer_after
        self.seconds = seconds
        self.alike = alike

    async def open(self, state: Any) -> dict[str, Debate]:
        """Begin an exchange, or a new debate when the last one is over."""
        held = _debate(state)
        if held.over or not held.started:
            return {"debate": Debate(started=time.time(), exchange=1)}
        return {"debate": Debate(exchange=held.exchange + 1)}

    def speaking(self, agent: Agent) -> Any:
        """The agent as a node."""

        async def speak(state: Any) -> dict[str, Debate]:
            held = _debate(state)
            async with asyncio.timeout(self._left(held)):
                said = await agent(state)
            if not isinstance(said, Opinion):
                raise Permanent(f"'{agent.__name__}' returned a {type(said).__name__}: return an Opinion")
            spoken = Position(agent=agent.__name__, exchange=held.exchange, answer=said.answer, argument=said.argument)
            return {"debate": Debate(positions=(spoken,))}

        return speak

    def judging(self, judge: Agent) -> Any:
        """The judge as a node; asked only when an answer is due and they do not agree."""

        async def ask(state: Any) -> dict[str, Debate]:
            held = _debate(state)
            if not self._is_due(held) or self._agreed(held) or not held.positions:
                return {}
            async with asyncio.timeout(self._left(held)):
                said = await judge(state)
            answers = [one.answer for one in held.last() if self.alike(one.answer) == self.alike(said.answer)]
            return {"debate": self._picked(held, answers[0], "judge", said.argument)} if answers else {}

        return ask

    async def decide(self, state: Any) -> dict[str, Debate]:
        """Pick an answer if one is due."""
        held = _debate(state)
        if held.over:
            return {}
        if agreed := self._agreed(held):
            return {"debate": self._picked(held, agreed, "agreement", f"all agree in exchange {held.exchange}")}
        why = self._must_end(held)
        return {"debate": self._tie_broken(held, why)} if why else {}

    def _left(self, held: Debate) -> float:
        return max(SHORTEST_SECONDS, held.started + self.seconds - time.time())

    def _agreed(self, held: Debate) -> str:
        """The answer that everybody holds; one voice alone is no agreement."""
        last = held.last()
        return last[0].answer if len(last) > 1 and len({self.alike(one.answer) for one in last}) == 1 else ""

    def _is_due(self, held: Debate) -> bool:
        return held.exchange >= self.answer_after or bool(self._must_end(held))

    def _must_end(self, held: Debate) -> str:
        """Why no further exchange follows; empty when one does."""
        if not held.positions:
            return "nobody said anything"
        if "single agent" in degraded():
            return "the run is degraded to a single agent"
        if time.time() >= held.started + self.seconds:
            return f"the debate's {self.seconds:g} s are over"
        if again := self._repeated(held):
            return again
        if held.exchange >= (self.at_most if self.judged else self.answer_after):
            return f"no agreement after {held.exchange} exchanges"
        return ""

    def _repeated(self, held: Debate) -> str:
        """The earlier exchange that the last one repeats, if it does."""
        now = self._stand(held, held.exchange)
        for earlier in range(held.exchange - 1, 0, -1):
            if now and self._stand(held, earlier) == now:
                moved = earlier < held.exchange - 1
                return f"ping-pong: exchange {held.exchange} repeats exchange {earlier}" if moved else "nobody moves"
        return ""

    def _stand(self, held: Debate, exchange: int) -> dict[str, object]:
        return {one.agent: self.alike(one.answer) for one in held.of(exchange)}

    def _tie_broken(self, held: Debate, why: str) -> Debate:
        """What most hold; among equals what the first named of them holds."""
        last = held.last()
        if not last:
            return Debate(decided_by="nobody spoke", ended=why)
        holders = Counter(self.alike(one.answer) for one in last)
        most = max(holders.values())
        leading = [one for one in last if holders[self.alike(one.answer)] == most]
        first = min(leading, key=lambda one: self.agents.index(one.agent))
        alone = len({self.alike(one.answer) for one in leading}) == 1
        return self._picked(held, first.answer, "most supporters" if alone else "first named", why)

    def _picked(self, held: Debate, answer: str, by: Decided, why: str) -> Debate:
        against = tuple(one for one in held.last() if self.alike(one.answer) != self.alike(answer))
        return Debate(outcome=answer, decided_by=by, ended=why[:300], dissent=against)
