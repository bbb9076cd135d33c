"""`interlock runs`: the runs that are kept."""

import argparse
import json
import time
from dataclasses import asdict
from typing import TYPE_CHECKING

from interlock.process import run
from interlock.terminal import line, put

if TYPE_CHECKING:
    from interlock.store import Recorded


def main(args: argparse.Namespace) -> int:
    """List them, the newest first."""
    return run(lambda stopping: _list(args.limit, args.json))


async def _list(limit: int, as_json: bool) -> int:
    from interlock.store import open_store

    async with open_store() as store:
        runs = await store.runs(limit)
    if as_json:
        put(json.dumps({"runs": [{**asdict(one), "state": state(one)} for one in runs]}))
    else:
        put("\n".join(map(_line, runs)) or "no runs are kept")
    return 0


def state(one: "Recorded") -> str:
    """How a run ended, or what has become of it."""
    return one.outcome or ("running" if one.alive else "to be resumed")


def _line(one: "Recorded") -> str:
    began = time.strftime("%Y-%m-%d %H:%M", time.localtime(one.began))
    return f"{one.id[:12]}  {began}  {state(one):<13}  {line(one.question, 80)}"
