"""`interlock resume`: go on with a run that was killed."""

import argparse
from pathlib import Path

from interlock import inputs
from interlock.process import run
from interlock.stopping import Stopping
from interlock.terminal import say


def main(args: argparse.Namespace) -> int:
    """Go on; a run that has ended gives its answer again."""
    out = inputs.out_of(args)
    return run(lambda stopping: _resume(args, out, stopping), traced=True)


async def _resume(args: argparse.Namespace, out: Path | None, stopping: Stopping) -> int:
    from interlock.delivery import deliver, summary
    from interlock.progress import shown
    from interlock.runner import resume
    from interlock.store import open_store

    async with open_store() as store:
        found = await store.find(args.run)
        with shown(args.quiet, found.question) as show, stopping.watched(show) as watch:
            answer = await resume(found.id, store, watch)
    code = deliver(answer, args, out)
    if not args.quiet:
        say(summary(answer))
    return code
