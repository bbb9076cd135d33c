"""Crew: the worker process at hand; a new one when it died or was killed for not answering."""

import json
import os
import subprocess
import sys
import tempfile
import threading
from dataclasses import asdict, replace
from pathlib import Path
from types import TracebackType
from typing import Any, Final

from interlock.chaotic.trial import Spec, Verdict

PATIENCE: Final = 30.0
"""Seconds above a trial's own after which its process is killed."""


class Crew:
    """Runs trials of one graph, one after the other; use it as a context manager.

    Args:
        target: The graph.
        given: Its input.
        seconds: What a trial's run may take.
    """

    def __init__(self, target: str, given: dict[str, Any], seconds: float) -> None:
        self.target = target
        self.given = given
        self.seconds = seconds
        self._worker: subprocess.Popen[str] | None = None
        self._folders = tempfile.TemporaryDirectory()
        self._number = 0

    def __enter__(self) -> "Crew":
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self._dismiss()
        self._folders.cleanup()

    def spec(self, **what: Any) -> Spec:
        """A trial with a folder of its own."""
        self._number += 1
        folder = Path(self._folders.name, str(self._number))
        folder.mkdir()
        return Spec(folder=str(folder), given=self.given, seconds=self.seconds, **what)

    def try_out(self, spec: Spec) -> Verdict:
        """Run one trial; one that does not answer is killed."""
        answer = self._asked(spec)
        if spec.fault == "low memory":
            self._dismiss()  # its limit stays
        if not answer:
            died = "the process died" if self._worker is None else "no answer: the process was killed"
            self._dismiss()
            return Verdict((died,))
        return Verdict(**{**answer, **{key: tuple(answer[key]) for key in ("broken", "keys", "missing")}})

    def killed(self, spec: Spec) -> Verdict:
        """Run until the process is killed at a checkpoint, then go on in a new one."""
        self._asked(spec)
        self._dismiss()
        return self.try_out(replace(spec, kill=0, resume=True))

    def _asked(self, spec: Spec) -> dict[str, Any]:
        worker = self._hired()
        timer = threading.Timer(spec.seconds + PATIENCE, worker.kill)
        timer.start()
        try:
            print(json.dumps(asdict(spec)), file=worker.stdin, flush=True)
            line = worker.stdout.readline() if worker.stdout else ""
        except BrokenPipeError:
            line = ""
        finally:
            timer.cancel()
        return json.loads(line) if line else {}

    def _hired(self) -> "subprocess.Popen[str]":
        if self._worker is None:
            env = {**os.environ, "INTERLOCK_DATA": str(Path(self._folders.name, "data")), "INTERLOCK_STORE": "memory"}
            command = [sys.executable, "-m", "interlock.chaotic.worker", self.target]
            self._worker = subprocess.Popen(  # noqa: S603 - ours
                command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True, env=env
            )
            if self._worker.stdout:
                self._worker.stdout.readline()
        return self._worker

    def _dismiss(self) -> None:
        if self._worker is not None:
            self._worker.kill()
            self._worker.communicate()
            self._worker = None
