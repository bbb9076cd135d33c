"""Runner: one question through the research graph, recorded so that a run that was killed can go on."""

import contextlib
import json
import os
import time
import uuid
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from interlock.events import STREAM_MODES, Event, Watch
from interlock.exits import BadUsage
from state.answer import Answer
from state.guarded import Run
from state.research import Context, Question

if TYPE_CHECKING:
    from interlock.store import Store

Show = Callable[[Event], None]

CLOSING_SECONDS: Final = 20.0
"""What closing a run whose process hangs may take."""

LOOPBACK: Final = "INTERLOCK_ALLOW_LOOPBACK"


@dataclass(frozen=True)
class Job:
    """One question.

    Attributes:
        question: It and its sources.
        context: What was chosen for it.
        id: The answer's id; the run's when empty.
        limits: Limits of the run that are not the graph's own, by the names that `Policy` has for them.
        folder: What relative paths in the question start from, also when the run is resumed elsewhere.
        loopback: URLs may lead to this machine itself, also when the run is resumed.
    """

    question: Question
    context: Context
    id: str = ""
    limits: Mapping[str, float] = field(default_factory=dict)
    folder: str = field(default_factory=os.getcwd)
    loopback: bool = field(default_factory=lambda: os.environ.get(LOOPBACK) == "1")


class Paused(Exception):
    """A run waits for a person.

    Attributes:
        run: The run's id, for `resume`.
        asked: What it asks, as its node gave it to `interrupt()`.
    """

    def __init__(self, run: str, asked: Any) -> None:
        super().__init__(f"run {run} waits for an answer: interlock resume {run}")
        self.run, self.asked = run, asked


async def start(job: Job, store: "Store", show: Show) -> Answer:
    """Ask a question; every run is a thread of its own.

    Raises:
        Paused: The run needs a person.
    """
    from guards.clean import redact

    run = uuid.uuid4().hex
    with store.claim(run):
        await store.begin(run, job.id, redact(job.question.get("question", ""))[0], _written(job))
        return await _go(run, job, job.question, store, show)


async def resume(run: str, store: "Store", show: Show, answer: Any = None) -> Answer:
    """Go on with a run that was killed or waits for a person; a run that has ended gives its answer again.

    It has the time left that it had when it last finished a step: while nobody worked on it, its clock stood still.

    Args:
        run: Its id, or enough of its beginning.
        store: Where it is kept.
        show: Takes the events of what is left to do.
        answer: What the person says, for a run that waits for one.

    Raises:
        BadUsage: There is no such run, somebody is working on it, or the folder that it was started in is gone.
        Paused: The run needs a person.
    """
    run = (await store.find(run)).id
    with store.claim(run):
        if known := await store.answer(run):
            return known
        job = _read(await store.job(run))
        state = await _graph(job, store).aget_state(_config(run))
        if state.values and not state.tasks:  # it was killed on its last steps; `state.next` would not tell
            return await _end(run, job, state.values, store)
        if state.interrupts and answer is None:
            raise Paused(run, state.interrupts[0].value)
        with _as_started(job):
            return await _go(run, job, _input(job, state, answer), store, show, _idle(state.values))


async def rescue(run: str, reason: str, store: "Store", show: Show) -> Answer:
    """Close a run whose process hangs: what closes a run runs here, everything else is passed over.

    Args:
        run: Its id; it is not claimed, for the process that hangs has claimed it.
        reason: Why it ends.
        store: Where it is kept.
        show: Takes the events.
    """
    from guards import extend, request_stop

    job = _read(await store.job(run))
    state = await _graph(job, store).aget_state(_config(run))
    record: Run | None = state.values.get("run")
    late = max(0.0, time.time() - record.deadline) if record and record.deadline else 0.0
    extend(run, late + CLOSING_SECONDS)
    request_stop(run, reason, CLOSING_SECONDS)
    with _as_started(job):
        return await _go(run, job, _input(job, state, None), store, show)


@contextlib.contextmanager
def _as_started(job: Job) -> Iterator[None]:
    """The folder that the run was started in, and what it was allowed."""
    if not Path(job.folder).is_dir():
        raise BadUsage(f"the folder {job.folder}, in which the run was started, is gone: ask again")
    before = os.environ.get(LOOPBACK, "")
    with contextlib.chdir(job.folder):
        os.environ[LOOPBACK] = "1" if job.loopback else before
        try:
            yield
        finally:
            os.environ[LOOPBACK] = before


def _input(job: Job, state: Any, answer: Any) -> Any:
    """What makes the graph go on: the answer it waits for, nothing, or, when nothing was saved yet, the question."""
    if answer is not None:
        from langgraph.types import Command

        return Command(resume=answer)
    return None if state.tasks else job.question


def _idle(values: Any) -> float:
    """Stop the clock of a run between its last finished step and now; the seconds in which it stood so far."""
    from guards.running.scope import set_idle

    run: Run | None = values.get("run")
    if run is None:
        return 0.0
    seconds = max(0.0, time.time() - run.started - run.spent.seconds)
    set_idle(run.id, seconds)
    return seconds


async def _go(run: str, job: Job, given: Any, store: "Store", show: Show, idle: float = 0.0) -> Answer:
    """Run the graph to its end, and show what happens under the run's own id and with the deadline that holds."""
    from guards.running.scope import forget_stop

    watch, last = Watch(), dict[str, Any]()
    stream = _graph(job, store).astream(
        given, _config(run), context=job.context, stream_mode=STREAM_MODES, durability="sync"
    )
    async for mode, chunk in stream:
        last = chunk if mode == "values" else last
        for event in watch.seen(mode, chunk):
            show(replace(event, run=run, deadline=event.deadline and event.deadline + idle))
    forget_stop(run)
    if "__interrupt__" in last:
        raise Paused(run, last["__interrupt__"][0].value)
    return await _end(run, job, last, store)


async def _end(run: str, job: Job, values: Any, store: "Store") -> Answer:
    answer = _answer(values).model_copy(update={"id": job.id or run})
    await store.end(run, answer)
    return answer


def _answer(values: Mapping[str, Any]) -> Answer:
    """What the graph published; or, when that was lost, what its record tells."""
    from nodes.publish import unpublished

    answer: Answer = values.get("answer") or unpublished(values)
    return answer


def _graph(job: Job, store: "Store") -> Any:
    """The graph under the job's limits, with the store's checkpoints."""
    from graphs.research import NODES, POLICY, build, graph
    from guards import guard

    limited = guard(build(), POLICY.but(**job.limits), name="research", nodes=NODES) if job.limits else graph
    return limited.copy(update={"checkpointer": store.saver})


def _config(run: str) -> Any:
    return {"configurable": {"thread_id": run}}


def _written(job: Job) -> str:
    return json.dumps({**vars(job), "context": job.context.model_dump(mode="json")})


def _read(text: str) -> Job:
    job = json.loads(text)
    return Job(**{**job, "context": Context.model_validate(job["context"])})
