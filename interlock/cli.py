"""The command line: parse, call, show. What a command needs is imported when it is called."""

import os
import sys
from collections.abc import Sequence
from importlib import import_module
from importlib.metadata import version

from interlock.arguments import arguments
from interlock.exits import BAD_USAGE, STOPPED, BadUsage
from interlock.faults import fault
from interlock.terminal import put, say, tolerant


def main(argv: Sequence[str] | None = None) -> int:
    """Run one command.

    Args:
        argv: The words after `interlock`; those of this process when not given.

    Returns:
        Its exit code: 0 complete, 3 partial, 4 refused, 5 stopped, 2 bad usage, 1 a fault of ours.
    """
    tolerant()
    try:
        args = arguments(sys.argv[1:] if argv is None else argv)
        if args.version:
            put(f"interlock {version('interlock')}")
            return 0
        if getattr(args, "allow_loopback", False):
            os.environ["INTERLOCK_ALLOW_LOOPBACK"] = "1"
        code: int = import_module(f"interlock.{args.command}").main(args)
        return code
    except BadUsage as error:
        say(f"interlock: {error}")
        return BAD_USAGE
    except KeyboardInterrupt:
        return STOPPED
    except SystemExit as done:  # --help
        return int(done.code or 0)
    except Exception as error:
        return fault(error)
