"""What the guards keep in a graph's state: one record of the run, under the key `run`.

A node or a router never overwrites the record: it returns a delta and `join` adds it, so parallel branches and
resumed tasks cannot lose each other's entries. The outcome is computed from the facts, hence valid at any moment.
"""

from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field, computed_field
from typing_extensions import TypedDict

from state.label import PROGRAM, Label

Outcome = Literal["complete", "partial", "refused", "stopped"]
Status = Literal["ok", "failed", "timed out", "refused", "skipped", "stopped"]

MISSING_KEPT = 200
"""Entries of `missing` that one run keeps; the later ones are counted in `missing_dropped`."""


class Spent(BaseModel):
    """What a run has used so far. Counts add up over nodes; `seconds` is the time since the run began."""

    model_config = ConfigDict(frozen=True)

    calls: int = 0
    input_tokens: int = 0
    output_tokens: int = 0
    dollars: float = 0.0
    tool_calls: int = 0
    seconds: float = 0.0

    def __add__(self, more: "Spent") -> "Spent":
        return Spent(
            calls=self.calls + more.calls,
            input_tokens=self.input_tokens + more.input_tokens,
            output_tokens=self.output_tokens + more.output_tokens,
            dollars=self.dollars + more.dollars,
            tool_calls=self.tool_calls + more.tool_calls,
            seconds=max(self.seconds, more.seconds),
        )


class Missing(BaseModel):
    """One thing that the run should have had and has not, and why."""

    model_config = ConfigDict(frozen=True)

    what: str = Field(description="The node, source, file or limit.")
    status: Status = "failed"
    reason: str = ""
    seconds: float = 0.0
    optional: bool = Field(default=False, description="True: worth telling, but the run may call itself complete.")


class Progress(BaseModel):
    """What the rounds of one loop left, so that the next one can be compared (`guards.running.progress`)."""

    model_config = ConfigDict(frozen=True)

    digests: tuple[str, ...] = Field(default=(), description="One for each round, the latest last.")
    lengths: dict[str, int] = Field(default_factory=dict, description="Of the state's lists, after the last round.")


class Ceiling(BaseModel):
    """The most that a run can take, told at its start. None: nothing bounds it."""

    model_config = ConfigDict(frozen=True)

    calls: int | None = None
    input_tokens: int | None = None
    output_tokens: int | None = None
    tokens: int | None = None
    dollars: float | None = None
    tool_calls: int | None = None
    seconds: float | None = None


class Run(BaseModel):
    """The record of one run; also, with most fields left empty, a delta to it."""

    model_config = ConfigDict(frozen=True)

    id: str = ""
    trace_id: str = ""
    graph: str = ""
    started: float = Field(default=0.0, description="Seconds since the epoch; survives a resume.")
    deadline: float | None = Field(default=None, description="Seconds since the epoch; None: no deadline.")
    spent: Spent = Spent()
    ceiling: Ceiling | None = Field(default=None, description="The most that it can spend, known at its start.")
    rounds: dict[str, int] = Field(default_factory=dict, description="Rounds of each loop that is under way.")
    degraded: tuple[str, ...] = Field(default=(), description="Steps down that were taken (`guards.degrade`).")
    progress: dict[str, Progress] = Field(default_factory=dict, description="By loop, while it is under way.")
    missing: tuple[Missing, ...] = ()
    missing_dropped: int = 0
    paused: float = Field(default=0.0, description="Seconds spent waiting for a person; they move the deadline.")
    stop: str = Field(default="", description="Why the run was told to end early; the first reason stays.")
    refusal: str = Field(default="", description="Why the run was refused; the first reason stays.")
    taint: Label = Field(default=PROGRAM, description="Of everything that the run has read; only widens.")
    labels: dict[str, Label] = Field(default_factory=dict, description="Of the values, by state key; they only widen.")
    role: str = Field(default="", description="What its beginner may do; whoever goes on with it may do no more.")
    vouched: str = Field(default="", description="What the user's own records said, for comparisons.", repr=False)

    def __hash__(self) -> int:
        """LangGraph's drawing code hashes what the start node writes."""
        return hash((self.id, self.started))

    @property
    def ending(self) -> bool:
        """Whether the run is on its way out: nodes that do not close it are passed over."""
        return bool(self.stop or self.refusal)

    @computed_field  # type: ignore[prop-decorator]
    @property
    def outcome(self) -> Outcome:
        """How the run ended, or would end if nothing more happened."""
        if self.refusal:
            return "refused"
        if self.stop:
            return "stopped"
        return "partial" if any(not entry.optional for entry in self.missing) else "complete"

    @computed_field  # type: ignore[prop-decorator]
    @property
    def stop_reason(self) -> str:
        """One line that says why the run is not complete; empty when it is."""
        losses = (f"{entry.what}: {entry.reason or entry.status}" for entry in self.missing if not entry.optional)
        return self.refusal or self.stop or next(losses, "")


def join(run: Run, new: object) -> Run:
    """Reducer: add a delta to the record, or begin a new record when the delta carries another run's id.

    What a client sends under the key is no record, and is passed over.
    """
    if not isinstance(new, Run):
        return run
    if new.id and new.id != run.id:
        return _inherits(run, new)
    told = (new.missing, new.rounds, new.missing_dropped, new.paused, new.ending, new.ceiling, new.vouched)
    if not any(told) and new.taint is PROGRAM and not new.labels:
        return run.model_copy(update={"spent": run.spent + new.spent})  # what most nodes add
    missing = list(dict.fromkeys((*run.missing, *new.missing)))
    return run.model_copy(
        update={
            "spent": run.spent + new.spent,
            "ceiling": run.ceiling or new.ceiling,
            "rounds": {**run.rounds, **{k: run.rounds.get(k, 0) + n for k, n in new.rounds.items()}},
            "degraded": tuple(dict.fromkeys((*run.degraded, *new.degraded))),
            "progress": {**run.progress, **new.progress},
            "missing": tuple(missing[:MISSING_KEPT]),
            "missing_dropped": run.missing_dropped + new.missing_dropped + max(0, len(missing) - MISSING_KEPT),
            "paused": max(run.paused, new.paused),
            "stop": run.stop or new.stop,
            "refusal": run.refusal or new.refusal,
            **_origins(run, new),
        }
    )


def _origins(run: Run, new: Run) -> dict[str, object]:
    """Where things come from, added up."""
    return {
        "taint": run.taint | new.taint,
        "labels": {**run.labels, **{key: run.labels.get(key, PROGRAM) | label for key, label in new.labels.items()}},
        "vouched": new.vouched if len(new.vouched) >= len(run.vouched) else run.vouched,
    }


def _inherits(run: Run, new: Run) -> Run:
    """A new run on an old thread: its state still holds what the runs before it read."""
    return new.model_copy(update=_origins(run, new)) if run.labels or run.vouched or run.taint != PROGRAM else new


class Guarded(TypedDict, total=False):
    """The one state key that `guard()` needs; inherit it to name the key in your own schemas."""

    run: Annotated[Run, join]
