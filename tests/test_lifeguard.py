"""The run's deadline holds for the command line too when a node holds the whole interpreter, in C that never yields."""

import json
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from state.answer import Answer

ROOT = Path(__file__).parent.parent
LINE = "The Harbour Line cost 287 million crowns."
QUESTION = "What did the Harbour Line cost?"
PATIENCE = 120
STUCK = """
import os, subprocess, sys
import nodes.follow_up
async def follow_up(state):
    with open(os.environ["ALIVE"], "w") as told:
        print("stuck", file=told, flush=True)
        sum(range(10**13))
nodes.follow_up.follow_up = follow_up
from interlock import lifeguard
lifeguard.GRACE_SECONDS = {grace}
if not {with_lifeguard}:
    lifeguard._stand_by = lambda lifeline, *_: subprocess.Popen(["true"])
from interlock.__main__ import run
run()
"""


class Command:
    """`interlock research` with a node that never yields; `alive` ends when the process is gone."""

    def __init__(self, folder: Path, seconds: str, grace: float, with_lifeguard: bool = True, *more: str) -> None:
        docs = folder / "docs"
        docs.mkdir()
        (docs / "opening.md").write_text(LINE, encoding="utf-8")
        alive = folder / "alive"
        os.mkfifo(alive)
        asked = more or (QUESTION, "--json")
        words = ["research", *asked, "--docs", str(docs), "--quiet", "--seconds", seconds]
        self.process = subprocess.Popen(
            [sys.executable, "-c", STUCK.format(grace=grace, with_lifeguard=with_lifeguard), *words],
            stdout=subprocess.PIPE,
            text=True,
            cwd=ROOT,
            env={**os.environ, "ALIVE": str(alive)},
            start_new_session=True,
        )
        self.alive = alive.open()
        assert self.alive.readline() == "stuck\n"

    def end(self) -> tuple[int, Answer]:
        out, _ = self.process.communicate(timeout=PATIENCE)
        assert self.alive.read() == ""
        return self.process.returncode, Answer.model_validate_json(out)


def test_a_run_that_holds_its_process_ends_in_a_report_of_what_was_found(tmp_path: Path) -> None:
    code, answer = Command(tmp_path, "6", 0.5).end()
    assert (code, answer.outcome) == (5, "stopped")
    assert "did not let go of the process" in answer.stop_reason and LINE in answer.report


def test_ctrl_c_ends_it_long_before_its_deadline(tmp_path: Path) -> None:
    command = Command(tmp_path, "600", 0.5)
    os.killpg(command.process.pid, signal.SIGINT)
    code, answer = command.end()
    assert (code, answer.outcome, answer.stop_reason) == (5, "stopped", "stopped by you (Ctrl-C)")
    assert LINE in answer.report


def test_of_many_questions_the_stuck_one_is_answered_and_the_next_call_goes_on_behind_it(tmp_path: Path) -> None:
    questions, answers = tmp_path / "questions.jsonl", tmp_path / "answers.jsonl"
    questions.write_text("".join(json.dumps({"id": each, "question": QUESTION}) + "\n" for each in "ab"))
    many = ("--questions", str(questions), "--jsonl", str(answers), "--at-once", "1")
    command = Command(tmp_path, "6", 0.5, True, *many)
    command.process.communicate(timeout=PATIENCE)
    assert command.process.returncode == 5 and command.alive.read() == ""
    (answer,) = map(Answer.model_validate_json, answers.read_text().splitlines())
    assert (answer.id, answer.outcome) == ("a", "stopped") and LINE in answer.report
    words = [sys.executable, "-m", "interlock", "research", *many, "--docs", str(tmp_path / "docs"), "--quiet"]
    subprocess.run(words, cwd=ROOT, timeout=PATIENCE, check=False)
    ids = [Answer.model_validate_json(line).id for line in answers.read_text().splitlines()]
    assert ids == ["a", "b"]


def test_without_a_lifeguard_nothing_ends_it(tmp_path: Path) -> None:
    command = Command(tmp_path, "600", 0.5, with_lifeguard=False)
    os.killpg(command.process.pid, signal.SIGINT)
    with pytest.raises(subprocess.TimeoutExpired):
        command.process.wait(3.5)
    os.killpg(command.process.pid, signal.SIGKILL)
    command.process.communicate()
