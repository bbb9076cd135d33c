"""Judge: says of differing values whether they contradict each other. It adds a note and never picks a value."""

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager

from pydantic import BaseModel, Field

from guards import remaining
from guards.errors import Interlock
from nodes import prompt
from nodes.models import ask
from nodes.text.cite import plain_line
from state.guarded import Missing
from state.report import Conflict
from state.research import Context

CONFLICTS = 20
NOTE_CHARACTERS = 300
SECONDS = 15.0
SHARE = 0.5
"""The judge gets at most this part of what the attempt has left: a slow one must not cost the report."""

Judged = tuple[list[Conflict], tuple[Missing, ...]]
PROMPT = """You are the judge in a research pipeline. Sources give different values for the same thing.
For each record say in one sentence whether the values really contradict each other, or differ because of time, scope,
unit or wording. Never choose a value. Answer with the record's number."""


class Verdict(BaseModel):
    """What you say about one record."""

    conflict: int = Field(description="The record's number.")
    note: str = Field(description="One sentence.")


class Verdicts(BaseModel):
    """One verdict a record."""

    verdicts: list[Verdict]


@asynccontextmanager
async def beside(conflicts: Sequence[Conflict], context: Context | None) -> AsyncIterator["asyncio.Task[Judged]"]:
    """Judge while the block runs; await the task inside it. Leaving the block early ends the judge."""
    task = asyncio.create_task(_tolerated(conflicts, context))
    try:
        yield task
    finally:
        task.cancel()
        await asyncio.wait((task,))


async def _tolerated(conflicts: Sequence[Conflict], context: Context | None) -> Judged:
    """The judged conflicts; or, when the judge fails or is slow, the conflicts as they are and what is missing."""
    try:
        async with asyncio.timeout(min(SECONDS, remaining() * SHARE)):
            return await judge(conflicts, context), ()
    except (Interlock, TimeoutError) as error:
        reason = str(error) or "no verdict in time; the values are shown unjudged"
        return list(conflicts), (Missing(what="judge", reason=reason),)


async def judge(conflicts: Sequence[Conflict], context: Context | None) -> list[Conflict]:
    """The conflicts with a model's note on each of the first 20; judged ones are left alone.

    Raises what `nodes.models.ask` raises.
    """
    if not conflicts or any(conflict.note for conflict in conflicts):
        return list(conflicts)
    records = [_record(number, conflict) for number, conflict in enumerate(conflicts[:CONFLICTS])]
    reply = await ask("judge", context, Verdicts, prompt.messages(PROMPT, *records))
    notes = {verdict.conflict: plain_line(verdict.note, NOTE_CHARACTERS) for verdict in reply.verdicts[:CONFLICTS]}
    return [conflict.model_copy(update={"note": notes.get(n, "")}) for n, conflict in enumerate(conflicts)]


def _record(number: int, conflict: Conflict) -> dict[str, object]:
    values = [
        {"value": value.value[:200], "sources": value.source_ids[:5], "quote": value.quote[:400]}
        for value in conflict.values[:8]
    ]
    return {"conflict": number, "subject": conflict.subject[:200], "values": values}
