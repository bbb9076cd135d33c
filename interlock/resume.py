"""`interlock resume`: go on with a run that was killed."""

import argparse
from functools import partial
from pathlib import Path

from interlock import inputs
from interlock.process import run
from interlock.stopping import Stopping


def main(args: argparse.Namespace) -> int:
    """Go on; a run that has ended gives its answer again."""
    out = inputs.out_of(args)
    return run(lambda stopping: _resume(args, out, stopping), traced=True)


async def _resume(args: argparse.Namespace, out: Path | None, stopping: Stopping) -> int:
    from interlock.asking import to_the_end
    from interlock.delivery import handed_over
    from interlock.runner import resume
    from interlock.store import open_store

    async with open_store() as store:
        found = await store.find(args.run)
        go_on = partial(resume, found.id, store)
        answer = await to_the_end(go_on, store, found.question, args, stopping, args.answer)
    return handed_over(answer, args, out)
