"""`interlock serve`: LangGraph's dev server for the graphs of langgraph.json, after a look at the door."""

import argparse
import os
import sys
from importlib.util import find_spec
from pathlib import Path

from interlock.doors.here import is_loopback
from interlock.doors.login import OPEN, is_closed
from interlock.exits import BadUsage
from interlock.terminal import say


def main(args: argparse.Namespace) -> int:
    """Become the server; comes back only if it cannot."""
    try:
        closed = is_closed()
    except ValueError as error:
        raise BadUsage(str(error)) from None
    if not closed and not is_loopback(args.host):
        raise BadUsage(f"not served at {args.host}: {OPEN}; or serve at 127.0.0.1")
    if not Path(args.config).is_file():
        raise BadUsage(f"there is no {args.config} here: name it with --config")
    if find_spec("langgraph_cli") is None or find_spec("langgraph_api") is None:
        raise BadUsage("LangGraph's dev server is missing: pip install 'langgraph-cli[inmem]'")
    say("callers must show a key or a token" if closed else "this machine alone is served, and no key is asked for")
    words = ["--host", args.host, "--port", str(args.port), "--config", args.config, "--no-browser", "--no-reload"]
    sys.stdout.flush()
    os.execv(sys.executable, [sys.executable, "-m", "langgraph_cli", "dev", *words])  # noqa: S606
