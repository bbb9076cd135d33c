"""What is written from the evidence: plan, quotes, claims, conflicts, the draft and its review."""

from typing import Literal

from pydantic import BaseModel, ConfigDict, Field

from state.message import Message


class Plan(Message):
    """What to look for."""

    question: str
    sub_questions: tuple[str, ...] = Field(default=(), max_length=5)
    names: tuple[str, ...] = Field(default=(), description="Entities, titles and sources that the question names.")
    dates: tuple[str, ...] = Field(default=(), description="Years, quarters, ISO dates that the question names.")
    files: tuple[str, ...] = Field(default=(), description="File names or parts of them that the question names.")


class Quote(BaseModel):
    """A verbatim span: `text` is exactly the stored source's text from `start` to `end`."""

    model_config = ConfigDict(frozen=True, defer_build=True)

    text: str
    source_id: str
    start: int
    end: int
    sub_question: str = ""
    location: str = ""


class Claim(BaseModel):
    """One statement of the report with what it rests on."""

    model_config = ConfigDict(frozen=True, defer_build=True)

    text: str
    source_ids: tuple[str, ...]
    sub_question: str = ""


class Value(BaseModel):
    """One of the values that the sources give for the same thing."""

    model_config = ConfigDict(frozen=True, defer_build=True)

    value: str
    source_ids: tuple[str, ...]
    quote: str = ""


class Conflict(BaseModel):
    """Different values for one thing, grouped with their sources; nothing is averaged or picked silently."""

    model_config = ConfigDict(frozen=True, defer_build=True)

    subject: str
    kind: Literal["values differ", "conflict"] = "values differ"
    values: tuple[Value, ...]
    chosen: str = Field(default="", description="The value that the stated policy picks; empty under keep_all.")
    rule: str = Field(default="keep_all", description="The policy that was applied.")
    note: str = Field(default="", description="What a model judged, if one did.")


class Draft(Message):
    """The report's body; sources are cited as [source_id] in square brackets, which the renderer numbers."""

    mode: Literal["extractive", "model"]
    text: str
    claims: tuple[Claim, ...] = ()
    quotes: tuple[Quote, ...] = ()
    answered: tuple[str, ...] = Field(default=(), description="Sub-questions that have evidence.")
    unanswered: tuple[str, ...] = ()
    removed: tuple[str, ...] = Field(default=(), description="What did not verify and was taken out, one line each.")


class Review(Message):
    """The reviewer's verdict on one draft."""

    approved: bool
    reasons: tuple[str, ...] = ()
