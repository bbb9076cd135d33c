"""What the tests run apart: functions that another process can import, in no time."""

import os
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any


def never_yields(fifo: str, child: bool = False) -> None:
    """Open `fifo`, write the process's number, and count for an hour in C, holding the interpreter's lock."""
    with Path(fifo).open("w") as told:
        if child:
            nap = "import time; time.sleep(1e6)"
            subprocess.Popen([sys.executable, "-c", nap], pass_fds=[told.fileno()])
        told.write(f"{os.getpid()}\n")
        told.flush()
        sum(range(10**13))


def double(number: int, *, twice: bool = False) -> int:
    """Double a number."""
    print("this goes nowhere")  # noqa: T201
    return number * (4 if twice else 2)


def large(size: int) -> bytes:
    return b"x" * size


def unreadable() -> Any:
    return lambda: None


def fails(how: str) -> None:
    if how == "ours":
        from guards import Transient

        raise Transient("ask again", retry_after=3)
    if how == "foreign":
        raise KeyError("key")
    if how == "unreadable":
        raise type("Odd", (Exception,), {})()
    if how == "exit":
        sys.exit(3)
    os.kill(os.getpid(), getattr(signal, how))
