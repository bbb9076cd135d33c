"""The JSON answer: a documented, versioned contract, with its schema in `docs/answer.schema.json` (tested)."""

from typing import Final, Literal

from pydantic import BaseModel, ConfigDict, Field

from state.evidence import Kind
from state.guarded import Missing, Outcome, Spent, Status
from state.report import Claim, Conflict, Quote

ANSWER_VERSION: Final = "1"
"""Changes when a field is removed or changes its meaning; new fields do not change it."""


class AnswerSource(BaseModel):
    """One source: asked by name, read, cited, or failed. `path` for files and databases, `url` for web pages."""

    model_config = ConfigDict(frozen=True)

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

    model_config = ConfigDict(frozen=True)

    source_id: str
    title: str
    location: str
    score: float
    collector: str


class Limits(BaseModel):
    """The limits the run was under; None means off. Dollars in USD, seconds of wall time."""

    model_config = ConfigDict(frozen=True)

    calls: int | None = None
    tokens: int | None = None
    dollars: float | None = None
    seconds: float | None = None
    rounds: int | None = None


class Answer(BaseModel):
    """What `interlock research --json` prints and every report is rendered from."""

    model_config = ConfigDict(frozen=True)

    version: Literal["1"] = ANSWER_VERSION
    id: str = ""
    question: str
    outcome: Outcome
    stop_reason: str = ""
    mode: Literal["extractive", "model"]
    report: str = Field(description="Markdown.")
    claims: tuple[Claim, ...] = ()
    quotes: tuple[Quote, ...] = ()
    passages: tuple[Passage, ...] = ()
    sources: tuple[AnswerSource, ...] = ()
    conflicts: tuple[Conflict, ...] = ()
    missing: tuple[Missing, ...] = ()
    spent: Spent = Spent()
    limits: Limits = Limits()
    trace_id: str = ""
