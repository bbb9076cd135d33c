"""The base of every record that one node hands to another: who sent it in which run, and when."""

import time
from contextvars import ContextVar

from pydantic import BaseModel, ConfigDict, Field

current_trace: ContextVar[str] = ContextVar("interlock_trace", default="")
"""The trace id of the run that this code works for; the guard sets it around every node."""


class Message(BaseModel):
    """A frozen record that carries its trace id and its time stamp (guide: "add trace_id to every message")."""

    model_config = ConfigDict(frozen=True, defer_build=True)

    trace_id: str = Field(default_factory=lambda: current_trace.get())
    at: float = Field(default_factory=time.time, description="Seconds since the epoch.")
