"""What a debate leaves: who said what in which exchange, what came out, and who dissents."""

from collections.abc import Iterable
from typing import Annotated, Final, Literal

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field

from state.memory import shorten
from state.message import Message

POSITIONS_KEPT: Final = 100
"""Positions that a debate keeps, the latest."""

ANSWER_KEPT: Final = 1_000
ARGUMENT_KEPT: Final = 4_000
"""Characters."""

Decided = Literal["", "agreement", "judge", "most supporters", "first named", "nobody spoke"]


def _answer(text: object) -> object:
    return shorten(text, ANSWER_KEPT) if isinstance(text, str) else text


def _argument(text: object) -> object:
    return shorten(text, ARGUMENT_KEPT) if isinstance(text, str) else text


class Opinion(BaseModel):
    """What an agent of a debate, or its judge, returns: a short answer that can be compared, and why."""

    model_config = ConfigDict(frozen=True)

    answer: Annotated[str, BeforeValidator(_answer)] = Field(description="Of a judge: empty to let them go on.")
    argument: Annotated[str, BeforeValidator(_argument)] = ""


class Position(Message):
    """An opinion with who held it and when."""

    agent: str
    exchange: int
    answer: str
    argument: str = ""


class Debate(BaseModel):
    """One debate; also, with most fields left empty, an addition to it."""

    model_config = ConfigDict(frozen=True)

    started: float = Field(default=0.0, description="Seconds since the epoch; another start is another debate.")
    exchange: int = Field(default=0, description="How many exchanges have begun.")
    positions: tuple[Position, ...] = ()
    outcome: str = Field(default="", description="The answer that was picked.")
    decided_by: Decided = ""
    ended: str = Field(default="", description="Why it ended there, in one line.")
    dissent: tuple[Position, ...] = Field(default=(), description="The last positions of those who hold otherwise.")

    @property
    def over(self) -> bool:
        """Whether an answer was picked."""
        return bool(self.decided_by)

    def last(self) -> list[Position]:
        """The last position of each agent, in the order of their names in the debate."""
        return list({position.agent: position for position in self.positions}.values())

    def of(self, exchange: int) -> list[Position]:
        """What was said in one exchange."""
        return [position for position in self.positions if position.exchange == exchange]


def discuss(debate: "Debate | None", new: "Debate | None") -> Debate:
    """Reducer: add to a debate, or begin another one: `debate: Annotated[Debate, discuss]`.

    Positions that arrive together are put in the order of their agents' names, so the result does not depend on who
    answered first.
    """
    old, new = debate or Debate(), new or Debate()
    if new.started and new.started != old.started:
        return new
    kept = _each_once((*old.positions, *new.positions))[-POSITIONS_KEPT:]
    return Debate(
        started=old.started,
        exchange=max(old.exchange, new.exchange),
        positions=tuple(kept),
        outcome=old.outcome or new.outcome,
        decided_by=old.decided_by or new.decided_by,
        ended=old.ended or new.ended,
        dissent=old.dissent or new.dissent,
    )


def _each_once(positions: Iterable[Position]) -> list[Position]:
    """One position of an agent in an exchange, in order."""
    by_place = {(position.exchange, position.agent): position for position in positions}
    return [by_place[place] for place in sorted(by_place)]
