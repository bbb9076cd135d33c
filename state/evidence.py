"""What the collectors find: sources, findings with their full provenance, and one typed outcome per collector."""

from typing import Literal

from pydantic import BaseModel, ConfigDict, Field

from state.guarded import Status
from state.message import Message

Kind = Literal["file", "database", "web"]


class Source(BaseModel):
    """One thing that can be cited or that failed: a file, a table row, a web page; or a root that was asked.

    A root is a folder, a database file or a search endpoint.
    """

    model_config = ConfigDict(frozen=True, defer_build=True)

    id: str = Field(description="Stable over runs, unique in a run: 'reports/q1.md', 'facts.sqlite#notes/12', a URL.")
    kind: Kind
    place: str = Field(description="Path or URL, as a person would open it.")
    title: str = ""
    status: Status = "ok"
    reason: str = Field(default="", description="Why the status is not ok, in one line.")
    seconds: float = 0.0
    named: bool = Field(default=False, description="The user named it: a failure counts against the quorum.")


class Finding(Message):
    """A passage of a source, verbatim, with the place it stands at."""

    source_id: str
    kind: Kind
    collector: str = Field(description="Node that found it.")
    title: str = ""
    text: str = Field(description="Exact substring of the stored source, from `start` to `end`.")
    place: str = Field(description="Path or URL.")
    location: str = Field(default="", description="'line 12', 'page 3', 'row 7 of notes'.")
    start: int = Field(default=0, description="Offset of the first character in the stored source's text.")
    end: int = 0
    score: float = Field(default=0.0, description="The collector's own score; not comparable between collectors.")
    about: str = Field(default="", description="Words of the path; names at the beginning of a long document.")
    date: str = Field(default="", description="ISO date of the source where known: file name, metadata, column.")
    query: str = Field(default="", description="The query that found it.")
    suspicious: str = Field(default="", description="Name of the input rule that the text trips; it is then only data.")
    also: tuple[str, ...] = Field(default=(), description="Source ids of exact or value-equal copies.")


class Collected(Message):
    """The typed outcome of one collector in one round."""

    collector: str
    status: Status = "ok"
    reason: str = ""
    seconds: float = 0.0
    sources: tuple[Source, ...] = ()
    findings: tuple[Finding, ...] = ()
