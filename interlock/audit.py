"""`interlock audit`: does the log of decisions verify, and what does it say?"""

import argparse
import json
import time
from collections import deque
from collections.abc import AsyncIterator
from typing import TYPE_CHECKING, Any, Final

from interlock.process import run
from interlock.terminal import line, put

if TYPE_CHECKING:
    from guards.stores import Row, Store

PAGE: Final = 1_000
SHOWN: Final = 20
"""Faults that are told one by one."""

SOUND, BROKEN = 0, 1


def main(args: argparse.Namespace) -> int:
    """Do one of the three."""
    return run(lambda stopping: _ACTIONS[args.action](args))


async def _verify(args: argparse.Namespace) -> int:
    from guards.audit.chain import HEAD, faults
    from guards.audit.record import log_key
    from guards.stores.chosen import store, store_name

    books = store()
    entries = [entry async for entry in _entries(books)]
    head = (await books.after(HEAD, "", 1)).get(HEAD)
    found = list(faults(entries, head, log_key(), args.head))
    last = str(head["hash"]) if head else ""
    if args.json:
        told = [{"number": fault.number, "what": fault.what} for fault in found]
        put(json.dumps({"entries": len(entries), "head": last, "sound": not found, "faults": told}))
    else:
        lines = [fault.what for fault in found[:SHOWN]]
        lines += [f"and {len(found) - SHOWN} more"] if len(found) > SHOWN else []
        verdict = "does not verify" if found else f"verifies; head {last or 'none'}"
        put("\n".join([*lines, f"{len(entries):,} entries in {store_name()}: the log {verdict}"]))
    return BROKEN if found else SOUND


async def _show(args: argparse.Namespace) -> int:
    from guards.stores.chosen import store

    last = deque([entry async for entry in _entries(store()) if _wanted(entry, args)], args.limit)
    put(json.dumps({"entries": list(last)}) if args.json else "\n".join(map(_line, last)) or "no entries")
    return SOUND


async def _export(args: argparse.Namespace) -> int:
    from guards.stores.chosen import store

    async for entry in _entries(store()):
        if _wanted(entry, args):
            put(json.dumps(entry, sort_keys=True))
    return SOUND


_ACTIONS: Final[dict[str, Any]] = {"verify": _verify, "show": _show, "export": _export}


async def _entries(books: "Store") -> "AsyncIterator[Row]":
    from guards.audit.chain import ENTRY

    key = ""
    while page := await books.after(ENTRY, key, PAGE):
        for row in filter(None, page.values()):
            yield row
        key = list(page)[-1]


def _wanted(entry: "Row", args: argparse.Namespace) -> bool:
    return str(entry.get("run", "")).startswith(args.run)


def _line(entry: "Row") -> str:
    at = time.strftime("%Y-%m-%d %H:%M:%S", time.localtime(float(entry.get("at", 0))))
    who = " ".join(str(entry[name]) for name in ("tenant", "agent", "tool") if entry.get(name))
    rules = "; ".join(map(str, entry.get("rules", ())))
    told = f"{entry.get('decision')} {entry.get('what')}"
    return line(f"{entry.get('number'):>6}  {at}  {str(entry.get('run'))[:12]:<12}  {told:<22}  {who}  {rules}", 160)
