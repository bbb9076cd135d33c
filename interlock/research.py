"""`interlock research`: one question, or many, answered from the sources that were named."""

import argparse
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from interlock import inputs
from interlock.exits import BadUsage
from interlock.process import run
from interlock.stopping import Stopping

if TYPE_CHECKING:
    from interlock.runner import Job


def main(args: argparse.Namespace) -> int:
    """Check what was typed, then ask."""
    if args.questions is not None:
        from interlock import batch

        return batch.main(args)
    if args.jsonl is not None:
        raise BadUsage("--jsonl is for --questions FILE: use --json or --out answer.json for one question")
    question, sources, out = inputs.question_of(args), inputs.sources_of(args), inputs.out_of(args)
    inputs.check_data_folder()
    job = inputs.job(args, {**sources, "question": question})
    return run(lambda stopping: _one(job, args, out, stopping), traced=True)


async def _one(job: "Job", args: argparse.Namespace, out: Path | None, stopping: Stopping) -> int:
    from interlock.asking import to_the_end
    from interlock.delivery import handed_over
    from interlock.runner import start
    from interlock.store import open_store

    async with open_store() as store:
        ask = partial(start, job, store)
        answer = await to_the_end(ask, store, job.question["question"], args, stopping)
    return handed_over(answer, args, out)
