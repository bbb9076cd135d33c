"""The research workflow's state, the views its nodes read, and the context a caller may set."""

from operator import add
from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field
from typing_extensions import TypedDict

from state.answer import Answer
from state.evidence import Collected, Finding
from state.guarded import Guarded
from state.report import Conflict, Draft, Plan, Review

MergePolicy = Literal["keep_all", "majority", "newest", "trusted", "ask"]


class Question(TypedDict, total=False):
    """The input. At least `question`; sources that are not named are skipped."""

    question: str
    docs: list[str]
    databases: list[str]
    urls: list[str]
    search: str


class Context(BaseModel):
    """What a caller may set for one run (LangGraph's run context)."""

    model_config = ConfigDict(frozen=True)

    models: dict[str, str] = Field(default_factory=dict, description="Model by role: planner, writer, judge, reviewer.")
    temperature: float = 0.0
    mode: Literal["auto", "extractive", "model"] = Field(default="auto", description="auto: a model if configured.")
    merge: MergePolicy = "keep_all"
    trusted: tuple[str, ...] = Field(default=(), description="Source ids or prefixes, best first, for merge='trusted'.")
    min_ok: int | None = Field(default=None, description="Named sources that must answer; None: all of them.")
    required: tuple[str, ...] = Field(default=(), description="Sources (id, place or kind) that must answer.")


class Research(Guarded, Question, total=False):
    """Everything the run knows."""

    plan: Plan
    queries: list[str]
    followed: bool
    collected: Annotated[list[Collected], add]
    evidence: list[Finding]
    conflicts: list[Conflict]
    draft: Draft
    review: Review
    answer: Answer


class Asked(Guarded, Question, total=False):
    """What the collectors read."""

    plan: Plan
    queries: list[str]
    followed: bool


class Gathered(Asked, total=False):
    """What merge and the second round read."""

    collected: Annotated[list[Collected], add]
    evidence: list[Finding]


class Brief(Guarded, Question, total=False):
    """What the writer and the reviewer read."""

    plan: Plan
    evidence: list[Finding]
    conflicts: list[Conflict]
    draft: Draft
    review: Review


class Result(Guarded, total=False):
    """The output: the answer and the record of the run."""

    answer: Answer
