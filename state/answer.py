"""The JSON answer: a documented, versioned contract, with its schema in `docs/answer.schema.json` (tested)."""

from typing import Final, Literal

from pydantic import BaseModel, ConfigDict, Field

from state.evidence import Kind
from state.guarded import Ceiling, Missing, Outcome, Spent, Status
from state.report import Claim, Conflict, Quote

ANSWER_VERSION: Final = "1"
"""Changes when a field is removed or changes its meaning; new fields do not change it."""


class AnswerSource(BaseModel):
    """One source: asked by name, read, cited, or failed. `path` for files and databases, `url` for web pages."""

    model_config = ConfigDict(frozen=True, defer_build=True)

    id: str
    kind: Kind
    path: str | None = None
    url: str | None = None
    title: str = ""
    status: Status
    reason: str = ""
    seconds: float = 0.0


class Passage(BaseModel):
    """One ranked passage, best first."""

    model_config = ConfigDict(frozen=True, defer_build=True)

    source_id: str
    title: str
    location: str
    score: float
    collector: str


class Limits(BaseModel):
    """The limits the run was under; None means off. Dollars in USD, seconds of wall time."""

    model_config = ConfigDict(frozen=True, defer_build=True)

    calls: int | None = None
    tokens: int | None = None
    dollars: float | None = None
    seconds: float | None = None
    rounds: int | None = None


class Answer(BaseModel):
    """What `interlock research --json` prints and every report is rendered from."""

    model_config = ConfigDict(frozen=True, defer_build=True)

    version: Literal["1"] = ANSWER_VERSION
    id: str = Field(default="", description="The question's id where many were asked, else the run's.")
    question: str = Field(description="As it was asked, trimmed.")
    outcome: Outcome
    stop_reason: str = Field(default="", description="Why the run is not complete; empty when it is.")
    mode: Literal["extractive", "model"] = Field(description="Who wrote the report: rules, or a language model.")
    report: str = Field(description="Markdown; sources are cited by their numbers in its last list.")
    claims: tuple[Claim, ...] = Field(default=(), description="A model's statements that verified.")
    quotes: tuple[Quote, ...] = Field(default=(), description="Verbatim, best first.")
    passages: tuple[Passage, ...] = Field(default=(), description="What the answer rests on, best first.")
    sources: tuple[AnswerSource, ...] = Field(default=(), description="What was asked first, then what was found.")
    conflicts: tuple[Conflict, ...] = Field(default=(), description="Different values for one thing.")
    missing: tuple[Missing, ...] = Field(default=(), description="What the run should have had and has not.")
    spent: Spent = Spent()
    limits: Limits = Limits()
    ceiling: Ceiling | None = Field(default=None, description="The most that the run could take, known at its start.")
    trace_id: str = Field(default="", description="Shared by every message and log line of the run.")
