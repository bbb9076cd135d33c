"""Direct: run a question without keeping it, until the runner is there."""

from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any

from interlock.events import STREAM_MODES, Event, Watch
from state.answer import Answer
from state.research import Context, Question


@dataclass(frozen=True)
class Job:
    """One question, what was chosen for it, and the answer's id."""

    question: Question
    context: Context
    id: str = ""


class Store:
    """Nothing yet."""


@asynccontextmanager
async def open_store() -> AsyncIterator[Store]:
    """Nothing yet."""
    yield Store()


async def start(job: Job, store: Store, show: Callable[[Event], None]) -> Answer:
    """Ask the graph and show what happens."""
    from graphs.research import graph

    watch, last = Watch(), dict[str, Any]()
    async for mode, chunk in graph.astream(job.question, context=job.context, stream_mode=STREAM_MODES):
        last = chunk if mode == "values" else last
        for event in watch.seen(mode, chunk):
            show(event)
    answer: Answer = last["answer"]
    return answer.model_copy(update={"id": job.id or last["run"].id})
