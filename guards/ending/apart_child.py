"""The process behind `guards.apart`: one call of one function, then it ends. A script that imports nothing of ours.

It dies with whoever started it, whatever it is doing: the lifeline is a pipe that nobody writes to, and when its other
end closes the kernel sends SIGIO to the whole process group, which ends it.
"""

import contextlib
import fcntl
import importlib
import os
import pickle
import struct
import sys
import threading
from typing import Any

HEAD = struct.Struct("!Q")


def main() -> None:
    """Take a request, answer it, end."""
    requests, answers, lifeline, longest = map(int, sys.argv[1:])
    _die_with_parent(lifeline)
    with open(requests, "rb") as source:  # noqa: PTH123
        path, module, name, arguments = pickle.load(source)  # noqa: S301 - from the process that started this one
    answer = _answer(path, module, name, arguments)
    if len(answer) > longest:
        answer = pickle.dumps(("large", len(answer)))
    with open(answers, "wb") as sink:  # noqa: PTH123
        sink.write(HEAD.pack(len(answer)) + answer)
    os._exit(0)


def _die_with_parent(lifeline: int) -> None:
    if hasattr(os, "O_ASYNC"):
        fcntl.fcntl(lifeline, fcntl.F_SETOWN, -os.getpgrp())
        fcntl.fcntl(lifeline, fcntl.F_SETFL, os.O_ASYNC)
    threading.Thread(target=_wait, args=(lifeline,), daemon=True).start()  # it may be dead already, or know no SIGIO


def _wait(lifeline: int) -> None:
    os.read(lifeline, 1)
    os._exit(1)


def _answer(path: list[str], module: str, name: str, arguments: bytes) -> bytes:
    try:
        sys.path[:] = path
        args, kwargs = pickle.loads(arguments)  # noqa: S301
        result = _found(module, name)(*args, **kwargs)
    except Exception as error:
        return _told(error)
    except BaseException as error:
        return pickle.dumps(("failed", f"it raised {type(error).__name__}"))
    try:
        return pickle.dumps(("done", result))
    except Exception as error:
        return pickle.dumps(("failed", f"its result cannot be pickled ({type(error).__name__})"))


def _told(error: Exception) -> bytes:
    """The error itself if the other side can read it (many can be written and not read), else its kind."""
    with contextlib.suppress(Exception):
        packed = pickle.dumps(("raised", error))
        pickle.loads(packed)  # noqa: S301
        return packed
    return pickle.dumps(("failed", f"it raised {type(error).__name__}"))


def _found(module: str, name: str) -> Any:
    """The function itself, where its name now stands for what `apart` (and LangChain's `tool`) made of it."""
    found: Any = importlib.import_module(module)
    for part in name.split("."):
        found = getattr(found, part)
    return getattr(getattr(found, "coroutine", found), "apart", found)


if __name__ == "__main__":
    main()
