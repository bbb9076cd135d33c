"""Events: what happens in a run, decoded from the stream of its graph, for whoever shows progress."""

import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from typing import Any, Final, Literal

from state.guarded import Run, Spent, Status

STREAM_MODES: Final[list[Literal["tasks", "custom", "values"]]] = ["tasks", "custom", "values"]
"""What to stream for `Watch`; it passes "values" over, they are for whoever wants the result."""

State = Status | Literal["running"]


@dataclass(frozen=True)
class Event:
    """A stage of a run began, went on, or ended.

    Attributes:
        run: The run's id.
        stage: The node's name.
        state: "running", "ok", "skipped" (passed over, or nothing to do), or how it was lost.
        reason: One line that says why the state is not "ok".
        found: Findings of a collector; None for every other stage.
        places: Places that a collector is asked to look at; None for one that has none, and for every other stage.
        seconds: How long it took; 0 while it runs.
        spent: What the run has spent so far.
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
    told: Mapping[str, Any] = field(default_factory=dict)


@dataclass
class Watch:
    """Reads the stream of one run: `for event in watch.seen(mode, chunk): ...`."""

    _spent: Spent = Spent()
    _running: dict[str, _Begun] = field(default_factory=dict)

    def seen(self, mode: str, chunk: Any) -> Iterator[Event]:
        """The events in one chunk of `graph.astream(..., stream_mode=STREAM_MODES)`, if there are any."""
        if mode == "tasks" and "input" in chunk:
            yield self._began(chunk["name"], chunk["input"])
        elif mode == "tasks" and chunk["name"] in self._running and not chunk.get("interrupts"):
            yield self._ended(chunk["name"], chunk["result"])
        elif mode == "custom" and isinstance(chunk, dict) and chunk.get("node") in self._running:
            yield from self._told(chunk["node"], chunk)

    def _began(self, stage: str, given: Any) -> Event:
        run = (given.get("run") if isinstance(given, dict) else None) or Run()
        self._spent = run.spent
        event = Event(run.id, stage, "running", spent=run.spent, deadline=run.deadline)
        self._running[stage] = _Begun(event, run, time.monotonic())
        return event

    def _told(self, stage: str, told: Mapping[str, Any]) -> Iterator[Event]:
        """What a collector says: that it asks its places, or what came of it, which counts when the stage ends."""
        begun = self._running[stage]
        if told.get("status") == "running":
            begun = replace(begun, event=replace(begun.event, places=told.get("places")))
            yield begun.event
        else:
            begun = replace(begun, told=told)
        self._running[stage] = begun

    def _ended(self, stage: str, result: Any) -> Event:
        begun = self._running.pop(stage)
        given = result if isinstance(result, dict) else {}
        delta = given.get("run") or Run()
        self._spent += delta.spent
        state, reason = _outcome(begun, given, delta)
        return replace(
            begun.event,
            state=state,
            reason=reason,
            found=begun.told.get("count"),
            seconds=time.monotonic() - begun.at,
            spent=self._spent,
        )


def _outcome(begun: _Begun, result: Mapping[str, Any], delta: Run) -> tuple[State, str]:
    """How a stage ended: by what the guard noted about it, else by what it told itself."""
    for entry in delta.missing:
        if entry.what.partition(" ")[0] == begun.event.stage:
            return entry.status, entry.reason
    if delta.refusal:
        return "refused", delta.refusal
    if begun.told:
        return begun.told["status"], str(begun.told.get("reason") or "")
    if begun.run.ending and result.keys() <= {"run"}:
        return "skipped", begun.run.stop_reason
    return "ok", ""
