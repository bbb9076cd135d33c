"""Tracing: LangSmith sees a run when its variables are set, and a dead endpoint costs a run nothing.

LangSmith's own client sends from a thread that the process waits for at its end, 15 to 21 s when nobody answers.
This one is the same client, made when the first traced run needs it, with a thread that nobody waits for longer than
`EXIT_SECONDS`, and with everything redacted that `clean(OUTPUT, ...)` would remove. A client that the user configured
goes first. Not covered: a client that is handed to a tracer directly.
"""

import atexit
import logging
import os
import threading
from typing import Any, Final

import langsmith
from langchain_core.runnables import RunnableConfig
from langchain_core.tracers import LangChainTracer
from langsmith import run_trees

from guards.text.sweep import Wash
from state.memory import shorten

EXIT_SECONDS: Final = 2.0
"""What the end of a process waits at most for traces that are not sent yet."""

GREETING_SECONDS: Final = 0.5
"""What it waits for an endpoint that has never answered."""

TRACED_CHARACTERS: Final = 20_000
"""Characters of one run's inputs, and of its outputs, that are sent; they are redacted where the run waits for it."""

DEFAULTS: Final = {
    "DISABLE_RUN_COMPRESSION": "true",  # its threads are waited for, come what may
    "TRACING_QUEUE_MAX_SIZE": "1000",
}

_lock = threading.RLock()


class QuietClient(langsmith.Client):
    """LangSmith's client, begun at its first use, so that a graph can be guarded with no thread and no network.

    Attributes:
        failed: Something could not be sent.
    """

    def __init__(self) -> None:
        self.begun = self.failed = False

    def __getattr__(self, name: str) -> Any:
        """Begin the client when something of it is missing because it has not begun."""
        with _lock:
            if not self.begun:
                self.begun = True
                self._begin()
            return object.__getattribute__(self, name)

    def _begin(self) -> None:
        for name, value in DEFAULTS.items():
            os.environ.setdefault(f"LANGSMITH_{name}", value)
        super().__init__(anonymizer=redacted, timeout_ms=(2_000, 10_000), tracing_error_callback=self._note)
        atexit.register(self.leave)

    @property
    def _use_daemon_threads(self) -> bool:
        return True

    @_use_daemon_threads.setter
    def _use_daemon_threads(self, wanted: bool) -> None:
        """LangSmith reads this from its environment; here it is always so."""

    def _note(self, error: Exception) -> None:
        self.failed = True

    def leave(self) -> None:
        """Send what is left, if somebody is listening."""
        if not self.failed:
            self.flush(timeout=GREETING_SECONDS)
        if not self.failed and getattr(self._info, "version", None):
            self.flush(timeout=EXIT_SECONDS - GREETING_SECONDS)
        logging.getLogger("langsmith").setLevel(logging.CRITICAL)  # stderr may be gone when the thread complains


def trace_quietly() -> None:
    """Let runs of this process be traced by a client that slows nothing, unless somebody has made one already."""
    if run_trees._CLIENT is None:
        run_trees.configure(client=QuietClient())


def name_trace(config: RunnableConfig, trace_id: str) -> None:
    """Put the run's trace id into the metadata of the traced node and of the trace that it belongs to."""
    manager: Any = config.get("callbacks")
    for handler in getattr(manager, "handlers", ()):
        if isinstance(handler, LangChainTracer) and (node := handler.run_map.get(str(manager.parent_run_id))):
            for run in (node, handler.run_map.get(str(node.trace_id), node)):
                run.add_metadata({"trace_id": trace_id})


def redacted(data: Any) -> Any:
    """What may be sent of a run's inputs, outputs, error or metadata, which are plain JSON."""
    return _Trace(longest=TRACED_CHARACTERS, most=2_000, deepest=20).value(data)


class _Trace(Wash):
    """Output cleaning that shortens what is too long instead of withholding it."""

    characters = TRACED_CHARACTERS

    def text(self, text: str, name: str) -> str:
        short = shorten(text, self.characters)
        self.characters -= len(short)
        return super().text(short, name)
