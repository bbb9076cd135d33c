"""Events: what happens in a run, decoded from the stream of its graph, for whoever shows progress."""

import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from typing import Any, Final, Literal

from state.guarded import Run, Spent, Status

STREAM_MODES: Final[list[Literal["tasks", "custom", "values"]]] = ["tasks", "custom", "values"]
"""What to stream for `Watch`; it passes "values" over, they are for whoever wants the result."""

State = Status | Literal["running"]

PLACES: Final = {"documents": ("docs",), "database": ("databases",), "web": ("urls", "search")}
"""Where the input names a collector's places, to tell one that is asked from one that has nothing to do."""


@dataclass(frozen=True)
class Event:
    """A stage of a run began or ended.

    Attributes:
        run: The run's id.
        stage: The node's name.
        state: "running", "ok", "skipped" (passed over, or nothing to do), or how it was lost.
        reason: One line that says why the state is not "ok".
        found: Findings of a collector; None for every other stage.
        places: Places that a collector was asked to look at; None for every other stage.
        seconds: How long it took; 0 while it runs.
        spent: What the run had spent when the stage began.
        deadline: When the run must end, in seconds since the epoch; None without a deadline.
    """

    run: str
    stage: str
    state: State
    reason: str = ""
    found: int | None = None
    places: int | None = None
    seconds: float = 0.0
    spent: Spent = Spent()
    deadline: float | None = None


@dataclass(frozen=True)
class _Begun:
    """A stage that is running."""

    event: Event
    run: Run
    at: float


@dataclass
class Watch:
    """Reads the stream of one run: `for event in watch.seen(mode, chunk): ...`."""

    _running: dict[str, _Begun] = field(default_factory=dict)
    _told: dict[str, Mapping[str, Any]] = field(default_factory=dict)

    def seen(self, mode: str, chunk: Any) -> Iterator[Event]:
        """The events in one chunk of `graph.astream(..., stream_mode=STREAM_MODES)`, if there are any."""
        if mode == "custom" and isinstance(chunk, dict) and chunk.get("event") == "source":
            self._told[str(chunk.get("node"))] = chunk
        elif mode == "tasks" and "input" in chunk:
            yield self._began(chunk)
        elif mode == "tasks" and chunk["id"] in self._running:
            yield self._ended(chunk)

    def _began(self, task: Mapping[str, Any]) -> Event:
        given = task["input"] if isinstance(task["input"], dict) else {}
        run, stage = given.get("run") or Run(), task["name"]
        event = Event(run.id, stage, "running", places=_places(stage, given), spent=run.spent, deadline=run.deadline)
        self._running[task["id"]] = _Begun(event, run, time.monotonic())
        return event

    def _ended(self, task: Mapping[str, Any]) -> Event:
        begun = self._running.pop(task["id"])
        result: dict[str, Any] = task["result"] if isinstance(task["result"], dict) else {}
        told = self._told.pop(task["name"], {})
        state, reason = _outcome(begun, result, told)
        seconds = time.monotonic() - begun.at
        return replace(begun.event, state=state, reason=reason, found=told.get("count"), seconds=seconds)


def _places(stage: str, given: Mapping[str, Any]) -> int | None:
    if stage not in PLACES:
        return None
    values = [given.get(key) or [] for key in PLACES[stage]]
    return sum(1 if isinstance(value, str) else len(value) for value in values)


def _outcome(begun: _Begun, result: Mapping[str, Any], told: Mapping[str, Any]) -> tuple[State, str]:
    """How a stage ended: by what the guard noted about it, else by what it told itself."""
    delta = result.get("run") or Run()
    for entry in delta.missing:
        if entry.what.partition(" ")[0] == begun.event.stage:
            return entry.status, entry.reason
    if delta.refusal:
        return "refused", delta.refusal
    if told:
        return told["status"], str(told.get("reason") or "")
    if begun.run.ending and result.keys() <= {"run"}:
        return "skipped", begun.run.stop_reason
    return "ok", ""
