"""Ctrl-C and what else ends a process: real processes and signals, sent when a line of progress says it is time."""

import json
import os
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from interlock import traces
from state.answer import Answer

ROOT = Path(__file__).parent.parent
LINE = "The Harbour Line cost 287 million crowns."
QUESTION = "What did the Harbour Line cost?"
PATIENCE = 60
"""Seconds until a process counts as hanging, also on a machine that is busy with other things."""


@pytest.fixture
def docs(tmp_path: Path) -> str:
    """A folder with one document."""
    folder = tmp_path / "docs"
    folder.mkdir()
    (folder / "opening.md").write_text(LINE, encoding="utf-8")
    return str(folder)


class Silent:
    """A server that takes connections and never says a word."""

    def __init__(self, server: socket.socket) -> None:
        self.server = server
        self.url = f"http://127.0.0.1:{server.getsockname()[1]}/"
        self.visitors: list[socket.socket] = []

    def wait_for_a_visitor(self) -> None:
        self.visitors.append(self.server.accept()[0])


@pytest.fixture
def silent() -> Iterator[Silent]:
    """One of them."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        server.settimeout(PATIENCE)
        yield Silent(server)


class Process:
    """`interlock` (or a script) as a process of its own."""

    def __init__(self, *argv: str, script: str = "", **env: str) -> None:
        command = ["-c", script] if script else ["-m", "interlock"]
        self.process = subprocess.Popen(
            [sys.executable, *command, *argv],
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            cwd=ROOT,
            env={**os.environ, **env},
        )

    def wait_for(self, beginning: str) -> None:
        """Read stderr until a line begins so."""
        assert self.process.stderr
        for line in self.process.stderr:
            if line.startswith(beginning):
                return
        raise AssertionError(f"it ended without saying '{beginning}'")

    def send(self, number: signal.Signals) -> None:
        self.process.send_signal(number)

    def end(self) -> tuple[int, str, str]:
        """The exit code and what is left on stdout and stderr."""
        try:
            out, err = self.process.communicate(timeout=PATIENCE)
        finally:
            self.process.kill()
        return self.process.returncode, out, err


@pytest.mark.parametrize(
    ("number", "reason"),
    [(signal.SIGINT, "stopped by you (Ctrl-C)"), (signal.SIGTERM, "stopped from outside (SIGTERM)")],
)
def test_the_first_signal_ends_in_a_report_of_what_was_found(
    number: signal.Signals, reason: str, docs: str, silent: Silent
) -> None:
    process = Process("research", QUESTION, "--docs", docs, "--url", silent.url, "--allow-loopback", "--json")
    process.wait_for("documents: 1 finding")
    process.send(number)
    code, out, err = process.end()
    answer = Answer.model_validate_json(out)
    assert (code, answer.outcome, answer.stop_reason) == (5, "stopped", reason)
    assert LINE in answer.report
    assert "stopping with what was found so far" in err


STUCK = """
import asyncio, time
from interlock import runner
from interlock.__main__ import run
from interlock.events import Event
async def start(job, store, show):
    show(Event("run", "web", "running", places=1))
    while True:
        try:
            {stuck}
        except asyncio.CancelledError:
            pass
runner.start = start
run()
"""


def test_the_second_signal_ends_at_once(docs: str) -> None:
    process = Process("research", QUESTION, "--docs", docs, script=STUCK.format(stuck="await asyncio.Event().wait()"))
    process.wait_for("web: asking")
    process.send(signal.SIGINT)
    process.wait_for("stopping with what was found")
    process.send(signal.SIGINT)
    assert process.end()[:2] == (5, "")


def test_the_second_signal_ends_a_process_whose_event_loop_is_blocked(docs: str) -> None:
    process = Process("research", QUESTION, "--docs", docs, script=STUCK.format(stuck="time.sleep(1e6)"))
    process.wait_for("web: asking")
    process.send(signal.SIGINT)
    process.send(signal.SIGTERM)
    assert process.end()[:2] == (5, "")


BEFORE = """
import asyncio, sys
from contextlib import asynccontextmanager
from interlock import store
from interlock.__main__ import run
@asynccontextmanager
async def open_store():
    print("opening", file=sys.stderr, flush=True)
    await asyncio.Event().wait()
    yield
store.open_store = open_store
run()
"""


def test_a_signal_before_anything_runs_ends_it(docs: str) -> None:
    process = Process("research", QUESTION, "--docs", docs, script=BEFORE)
    process.wait_for("opening")
    process.send(signal.SIGINT)
    code, out, err = process.end()
    assert (code, out) == (5, "")
    assert "stopped by you (Ctrl-C), before anything was found" in err


HUNG = """
import asyncio, threading
from interlock.process import run
from interlock.terminal import leave
async def work(stopping):
    begun = asyncio.Event()
    loop = asyncio.get_running_loop()
    def hang():
        loop.call_soon_threadsafe(begun.set)
        threading.Event().wait()
    thread = asyncio.create_task(asyncio.to_thread(hang))
    await begun.wait()
    return 3
leave(run(work))
"""


def test_a_thread_that_hangs_does_not_hold_the_exit() -> None:
    assert Process(script=HUNG).end()[0] == 3


def test_many_questions_go_on_where_they_were_stopped(docs: str, silent: Silent, tmp_path: Path) -> None:
    questions, out = tmp_path / "questions.jsonl", tmp_path / "answers.jsonl"
    questions.write_text("".join(f'{{"id": "{name}", "question": "{QUESTION}"}}\n' for name in "abc"), encoding="utf-8")
    argv = ("research", "--questions", str(questions), "--docs", docs, "--jsonl", str(out), "--at-once", "2")
    assert Process(*argv).end()[0] == 0
    whole = out.read_text(encoding="utf-8").splitlines(keepends=True)
    assert [json.loads(line)["id"] for line in whole] == ["a", "b", "c"]

    out.write_text(whole[0] + whole[1][:-100], encoding="utf-8")  # as a kill in the middle of a line leaves it
    process = Process(*argv, "--url", silent.url, "--allow-loopback")
    process.wait_for("1 of 3 are answered already")
    silent.wait_for_a_visitor()
    process.send(signal.SIGINT)
    code, _, err = process.end()
    assert code == 5 and "2 of 3 questions are left: the same command goes on with them" in err
    assert out.read_text(encoding="utf-8") == whole[0]

    assert Process(*argv).end()[0] == 0
    again = [json.loads(line) for line in out.read_text(encoding="utf-8").splitlines()]
    assert [(answer["id"], answer["outcome"]) for answer in again] == [(name, "complete") for name in "abc"]


@pytest.mark.parametrize("away", ["refused", "silent"])
def test_a_langsmith_that_is_away_does_not_hold_the_exit(away: str, docs: str, silent: Silent) -> None:
    endpoint = silent.url if away == "silent" else "http://127.0.0.1:1"
    tracing = {"LANGSMITH_TRACING": "true", "LANGSMITH_API_KEY": "none", "LANGSMITH_ENDPOINT": endpoint}
    code, out, err = Process("research", QUESTION, "--docs", docs, "--json", **tracing).end()
    assert (code, Answer.model_validate_json(out).outcome) == (0, "complete")
    assert "the last traces for LangSmith are lost" in err
    assert traces.SECONDS <= 1
