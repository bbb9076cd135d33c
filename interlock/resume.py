"""`interlock resume`: go on with a run that was killed."""

import argparse
from pathlib import Path
from typing import TYPE_CHECKING

from interlock import inputs
from interlock.process import run
from interlock.stopping import Stopping

if TYPE_CHECKING:
    from interlock.progress import Show
    from state.answer import Answer


def main(args: argparse.Namespace) -> int:
    """Go on; a run that has ended gives its answer again."""
    out = inputs.out_of(args)
    return run(lambda stopping: _resume(args, out, stopping), traced=True)


async def _resume(args: argparse.Namespace, out: Path | None, stopping: Stopping) -> int:
    from interlock.asking import read_answer, to_the_end
    from interlock.delivery import handed_over
    from interlock.runner import resume
    from interlock.store import open_store

    async with open_store() as store:
        found = await store.find(args.run)
        said = read_answer(args.answer or "")

        async def go_on(watch: "Show") -> "Answer":
            return await resume(found.id, store, watch, said)

        answer = await to_the_end(go_on, store, found.question, args.quiet, stopping)
    return handed_over(answer, args, out)
