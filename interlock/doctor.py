"""`interlock doctor`: what is configured, what is missing, and what each choice would cost. It sends nothing."""

import argparse
import json
from dataclasses import asdict
from typing import TYPE_CHECKING, Final

from interlock.exits import FAULT
from interlock.process import run
from interlock.terminal import line, put

if TYPE_CHECKING:
    from interlock.costs import Cost
    from interlock.looks import Finding

MARKS: Final = {"ok": "ok", "off": "off", "broken": "BROKEN"}


def main(args: argparse.Namespace) -> int:
    """Look at everything; 1 when something is broken."""
    return run(lambda stopping: _look(args.json))


async def _look(as_json: bool) -> int:
    from guards.ledger.prices import table_date
    from interlock.costs import costs
    from interlock.looks import findings

    found, choices = await findings(), costs()
    heading = f"What one research run costs, in USD (prices with changes up to {table_date()}):"
    if as_json:
        put(json.dumps({"findings": [asdict(one) for one in found], "costs": [asdict(one) for one in choices]}))
    else:
        put("\n".join([*map(_found, found), "", heading, *map(_cost, choices)]))
    return FAULT if any(one.state == "broken" for one in found) else 0


def _found(one: "Finding") -> str:
    cure = f" -> {one.cure}" if one.cure else ""
    return f"{MARKS[one.state]:<7} {one.what:<15} {line(one.text + cure, 500)}"


def _cost(one: "Cost") -> str:
    usual = "price unknown" if one.usual is None else f"about {one.usual:.4f}" if one.usual else "0"
    most = "no limit" if one.most is None else f"at most {one.most:.2f}" if one.most else ""
    return f"  {line(one.choice, 60):<44} {usual:<14} {most}".rstrip()
