"""`interlock keys`: make, list and revoke the API keys of a server."""

import argparse
import json
import time
from dataclasses import asdict
from typing import Any, Final

from interlock.doors.keys import Key, Keys, keys_file
from interlock.exits import BadUsage
from interlock.terminal import line, put, say


def main(args: argparse.Namespace) -> int:
    """Do one of the three."""
    return int(_ACTIONS[args.action](args))


def _add(args: argparse.Namespace) -> int:
    try:
        key, text = Keys(keys_file()).add(args.name, args.tenant or args.name, args.role, args.days)
    except ValueError as error:
        raise BadUsage(str(error)) from None
    said = {"id": key, "tenant": args.tenant or args.name, "role": args.role, "key": text}
    put(json.dumps(said) if args.json else text)
    say(f"key {key} of tenant '{said['tenant']}', {args.role}: keep it now, it cannot be shown again")
    return 0


def _list(args: argparse.Namespace) -> int:
    found = Keys(keys_file()).listed() if keys_file().exists() else []
    put(json.dumps([asdict(key) for key in found]) if args.json else "\n".join(map(_line, found)) or "no keys")
    return 0


def _revoke(args: argparse.Namespace) -> int:
    if not keys_file().exists() or not Keys(keys_file()).revoke(args.id):
        raise BadUsage(f"there is no key '{line(args.id, 40)}': see `interlock keys list`")
    say(f"key {args.id} opens nothing any more")
    return 0


_ACTIONS: Final[dict[str, Any]] = {"add": _add, "list": _list, "revoke": _revoke}


def _line(key: Key) -> str:
    now = time.time()
    state = "good" if key.good(now) else "expired" if key.revoked is None else "revoked"
    ends = "" if key.expires is None else f", until {time.strftime('%Y-%m-%d', time.gmtime(key.expires))}"
    return f"{key.id}  {line(key.name, 40)}  tenant {key.tenant}  {key.role}  {state}{ends}"
