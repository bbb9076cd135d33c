"""`interlock show`: the answer of a run again."""

import argparse
from pathlib import Path

from interlock import inputs
from interlock.delivery import deliver, html
from interlock.exits import BadUsage
from interlock.process import run
from interlock.terminal import put


def main(args: argparse.Namespace) -> int:
    """Show it as the options say."""
    out = inputs.out_of(args)
    return run(lambda stopping: _show(args, out))


async def _show(args: argparse.Namespace, out: Path | None) -> int:
    from interlock.store import open_store

    async with open_store() as store:
        found = await store.find(args.run)
        answer = await store.answer(found.id)
    if answer is None:
        raise BadUsage(f"run {found.id} has not ended" + ("" if found.alive else f": interlock resume {found.id}"))
    if args.html:
        put(html(answer))
        return 0
    deliver(answer, args, out)
    return 0
