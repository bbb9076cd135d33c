"""What agents remember together: the last interactions, their roles, facts by category, and who may add no more.

The limits sit in the reducer, so they hold whatever a node returns. It is pure: the same additions in the same order
give the same memory. What an agent says that corrupts memory is kept out and counted, and the agent is barred for a
while.
"""

from collections.abc import Callable
from functools import cache
from typing import Annotated, Final

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field

from state.corruption import claims_another_role, crowds, denies, flooding, repeats
from state.label import PROGRAM, Label
from state.memory import PINNED_KEPT, RECENT_KEPT, Interaction, paired, shorten

RESET_AFTER: Final = 50
"""Interactions after which the recent ones are forgotten (guide: memory resets every 50 interactions)."""

CLEANED_AFTER: Final = 20
"""Tasks after which memory is cleaned (guide: every 20 tasks)."""

FACTS_KEPT: Final = 20
"""Facts of one category, besides the pinned ones."""

CATEGORIES_KEPT: Final = 20
PINNED_FACTS: Final = 50
VALUE_KEPT: Final = 500
"""Characters of a fact's value."""

STALE_AFTER: Final = 500
"""Interactions after which a fact that nobody repeated is cleaned away; pinned ones never are."""

BARRED_FOR: Final = 50
"""Interactions for which an agent that corrupted memory may add nothing."""

BARRED_KEPT: Final = 100
COUNTS_KEPT: Final = 100
Scan = Callable[[str], str | None]
"""Names the rule that a text which gives orders trips, None for other texts."""


def _value(text: object) -> object:
    return shorten(text, VALUE_KEPT) if isinstance(text, str) else text


class Fact(BaseModel):
    """Something worth keeping."""

    model_config = ConfigDict(frozen=True)

    category: str = Field(max_length=100)
    key: str = Field(max_length=100)
    value: Annotated[str, BeforeValidator(_value)]
    agent: str = Field(default="", max_length=200, description="Who says so.")
    pinned: bool = Field(default=False, description="Never goes, and nobody may say otherwise.")
    importance: int = Field(default=5, ge=0, le=10)
    noted: int = Field(default=0, description="Number of the interaction at which it was said; set by the memory.")
    label: Label = Field(default=PROGRAM, description="Where it comes from, for facts that outlive the run's record.")


class Barred(BaseModel):
    """An agent whose additions are kept out for a while."""

    model_config = ConfigDict(frozen=True)

    agent: str
    reason: str
    until: int = Field(description="Number of the first interaction that counts again.")


class Remembered(BaseModel):
    """The memory; also, with `recent`, `facts` and `tasks` alone, an addition to it."""

    model_config = ConfigDict(frozen=True)

    recent: tuple[Interaction, ...] = ()
    roles: tuple[Interaction, ...] = Field(default=(), description="Instructions: never forgotten.")
    facts: tuple[Fact, ...] = ()
    barred: tuple[Barred, ...] = ()
    kept_out: dict[str, int] = Field(default_factory=dict, description="By agent and reason.")
    interactions: int = 0
    tasks: int = 0

    def of(self, agent: str) -> list[Interaction]:
        """What one agent is told: its roles, then what was said lately."""
        return [*(role for role in self.roles if role.agent == agent), *self.recent]

    def fact(self, category: str, key: str) -> Fact | None:
        """A fact, if it is known."""
        return next((fact for fact in self.facts if (fact.category, fact.key) == (category, key)), None)

    def bars(self, agent: str) -> Barred | None:
        """Why an agent may add nothing now, if so."""
        return next((bar for bar in self.barred if bar.agent == agent and self.interactions < bar.until), None)


Reducer = Callable[[Remembered, Remembered], Remembered]


@cache
def remembering(scan: Scan | None = None, keep: int = RECENT_KEPT, reset_after: int = RESET_AFTER) -> Reducer:
    """A reducer for `Annotated[Remembered, ...]`; `guards.remember` is the one with the input rules as `scan`.

    Interactions and facts are added one after the other. Of facts go, when there are too many: never a pinned one, else
    the least important, of those the oldest. A pinned fact above `PINNED_FACTS` is refused and counted.

    Args:
        scan: Finds texts that give orders.
        keep: Interactions that are kept besides the roles.
        reset_after: Interactions after which the recent ones are forgotten; facts, roles and bars stay.

    Raises:
        ValueError: A limit is less than 1.
    """
    if keep < 1 or reset_after < 1:
        raise ValueError(f"remembering(keep={keep}, reset_after={reset_after}): both must be at least 1")

    def remember(memory: Remembered, new: Remembered) -> Remembered:
        """The memory with the additions, within its limits."""
        work = _Work(memory or Remembered(), scan, keep, reset_after)
        floods = flooding(new.recent)
        for said in new.recent:
            work.hear(said, "floods" if said.agent in floods else "")
        for fact in new.facts:
            work.note(fact)
        work.finish(new.tasks)
        return work.memory()

    return remember


class _Work:
    """One addition under way."""

    def __init__(self, memory: Remembered, scan: Scan | None, keep: int, reset_after: int) -> None:
        self.scan, self.keep, self.reset_after = scan, keep, reset_after
        self.recent, self.roles = list(memory.recent), list(memory.roles)
        self.facts = {(fact.category, fact.key): fact for fact in memory.facts}
        self.barred = {bar.agent: bar for bar in memory.barred}
        self.kept_out = dict(memory.kept_out)
        self.interactions, self.tasks = memory.interactions, memory.tasks

    def hear(self, said: Interaction, reason: str) -> None:
        """Take in one interaction, or keep it out."""
        self.interactions += 1
        if said.pinned:
            self._learn(said)
        elif not self._is_barred(said.agent):
            if why := reason or self._corrupts(said):
                self._bar(said.agent, why)
            else:
                self.recent = paired([*self.recent, said][-self.keep :])
        if self.interactions % self.reset_after == 0:
            self.recent = []

    def note(self, fact: Fact) -> None:
        """Take in one fact, or keep it out."""
        if self._is_barred(fact.agent):
            return
        known = self.facts.get((fact.category, fact.key))
        if known is not None and known.pinned:
            if known.value != fact.value:
                self._bar(fact.agent, "contradicts a pinned fact")
            return
        if self.scan is not None and self.scan(f"{fact.category} {fact.key} {fact.value}"):
            self._bar(fact.agent, "carries injected text")
        elif fact.pinned and sum(one.pinned for one in self.facts.values()) >= PINNED_FACTS:
            self._count(fact.agent, "too many pinned facts")
        else:
            self.facts[fact.category, fact.key] = fact.model_copy(update={"noted": self.interactions})
            self._make_room(fact.category)

    def finish(self, tasks: int) -> None:
        """Count the tasks; clean up when it is time."""
        before, self.tasks = self.tasks, self.tasks + max(0, tasks)
        if self.tasks // CLEANED_AFTER > before // CLEANED_AFTER:
            now = self.interactions
            self.barred = {agent: bar for agent, bar in self.barred.items() if now < bar.until}
            fresh = {key: fact for key, fact in self.facts.items() if fact.pinned or now - fact.noted < STALE_AFTER}
            self.facts = fresh

    def memory(self) -> Remembered:
        return Remembered(
            recent=tuple(self.recent),
            roles=tuple(self.roles),
            facts=tuple(self.facts.values()),
            barred=tuple(self.barred.values())[-BARRED_KEPT:],
            kept_out=dict(list(self.kept_out.items())[-COUNTS_KEPT:]),
            interactions=self.interactions,
            tasks=self.tasks,
        )

    def _learn(self, role: Interaction) -> None:
        known = {(one.agent, one.text) for one in self.roles}
        if (role.agent, role.text) not in known and len(self.roles) < PINNED_KEPT:
            self.roles.append(role)

    def _is_barred(self, agent: str) -> bool:
        bar = self.barred.get(agent)
        if bar is None or self.interactions >= bar.until:
            return False
        self._count(agent, bar.reason)
        return True

    def _bar(self, agent: str, reason: str) -> None:
        self.barred.pop(agent, None)
        self.barred[agent] = Barred(agent=agent, reason=reason, until=self.interactions + BARRED_FOR)
        self._count(agent, reason)

    def _count(self, agent: str, reason: str) -> None:
        counted = f"{agent}: {reason}"
        self.kept_out[counted] = self.kept_out.pop(counted, 0) + 1

    def _corrupts(self, said: Interaction) -> str:
        """How an output would harm the memory; empty when it does not."""
        if said.role not in ("output", "tool"):
            return ""
        if self.scan is not None and self.scan(said.text):
            return "carries injected text"
        if said.role == "tool":
            return ""
        if denies(said.text, ((fact.key, fact.value) for fact in self.facts.values() if fact.pinned)):
            return "contradicts a pinned fact"
        if claims_another_role(said, self.roles):
            return "loses its role"
        if repeats(said, self.recent):
            return "repeats itself"
        return "floods" if crowds(said, self.recent) else ""

    def _make_room(self, category: str) -> None:
        """The least important go, of those the oldest; a category too many goes as a whole but for what is pinned."""
        for crowded in (category, *list(dict.fromkeys(name for name, _ in self.facts))[:-CATEGORIES_KEPT]):
            most = FACTS_KEPT if crowded == category else 0
            loose = [key for key, fact in self.facts.items() if key[0] == crowded and not fact.pinned]
            loose.sort(key=lambda key: (self.facts[key].importance, self.facts[key].noted))
            for key in loose[: max(0, len(loose) - most)]:
                del self.facts[key]
