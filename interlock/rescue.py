"""Rescue: close a run whose process hangs, and hand over what it had found. Called by the lifeguard."""

import argparse
import json
import logging
import sys
from pathlib import Path
from typing import NoReturn

from interlock.exits import STOPPED
from interlock.lifeguard import CTRL_C
from interlock.process import run
from interlock.stopping import Stopping
from interlock.terminal import leave, tolerant


def main() -> NoReturn:
    """`python -m interlock.rescue RUN REASON OPTIONS`."""
    logging.getLogger().addHandler(logging.NullHandler())
    tolerant()
    name, reason, told = sys.argv[1:]
    leave(run(lambda stopping: _rescue(name, reason, argparse.Namespace(**json.loads(told)), stopping)), midway=True)


async def _rescue(name: str, reason: str, args: argparse.Namespace, _stopping: Stopping) -> int:
    from interlock.answers import append
    from interlock.delivery import handed_over
    from interlock.runner import rescue
    from interlock.store import open_store

    async with open_store() as store:
        answer = await rescue(name, reason, store, lambda event: None)
    if args.many and reason == CTRL_C:
        return STOPPED  # it is asked again
    if args.jsonl and answer:
        append(Path(args.jsonl), answer)
        return STOPPED
    return handed_over(answer, args, Path(args.out) if args.out else None)


if __name__ == "__main__":
    main()
