"""A run that waits for a person: asked at a terminal, left for later without one."""

import os
import pty
import select
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from interlock.asking import read_answer

ROOT = Path(__file__).parent.parent
WAITS = """
from interlock import asking, runner
from interlock.__main__ import run
from interlock.events import Event
from state.answer import Answer
async def start(job, store, show):
    show(Event("r1", "merge", "running"))
    raise runner.Paused("r1", "Which value, 5 or 7?")
async def resume(run, store, show, said):
    return Answer(id=run, question="q", outcome="complete", mode="extractive", report=f"You said {said!r}.")
runner.start, asking.resume = start, resume
run()
"""
ASK = [sys.executable, "-c", WAITS, "research", "q", "--docs", "docs", "--merge", "ask"]


@pytest.fixture
def terminal() -> Iterator[tuple[int, int]]:
    """Both ends of a pseudo-terminal: a person's, and the process's."""
    ours, theirs = pty.openpty()
    yield ours, theirs
    os.close(ours)
    os.close(theirs)


def process(terminal: tuple[int, int]) -> "subprocess.Popen[str]":
    theirs = terminal[1]
    return subprocess.Popen(ASK, stdin=theirs, stderr=theirs, stdout=subprocess.PIPE, text=True, cwd=ROOT)


def wait_for(terminal: tuple[int, int], text: str) -> str:
    seen = ""
    while text not in seen:
        assert select.select([terminal[0]], [], [], 20)[0], seen
        seen += os.read(terminal[0], 1_000).decode(errors="replace")
    return seen


def test_at_a_terminal_the_answer_is_asked_for(terminal: tuple[int, int]) -> None:
    asking = process(terminal)
    assert "Which value, 5 or 7?" in wait_for(terminal, "Your answer: ")
    os.write(terminal[0], b"7\n")
    assert asking.communicate(timeout=20)[0] == "You said 7.\n"
    assert asking.returncode == 0


def test_ctrl_c_at_the_question_leaves_the_run_for_later(terminal: tuple[int, int]) -> None:
    asking = process(terminal)
    wait_for(terminal, "Your answer: ")
    asking.send_signal(2)
    wait_for(terminal, "interlock resume r1 --answer TEXT")
    assert asking.communicate(timeout=20)[0] == ""
    assert asking.returncode == 3


def test_without_a_terminal_one_line_says_how_to_go_on() -> None:
    done = subprocess.run(ASK, stdin=subprocess.DEVNULL, capture_output=True, text=True, cwd=ROOT, timeout=20)
    assert (done.returncode, done.stdout) == (3, "")
    assert "Which value, 5 or 7? To answer: interlock resume r1 --answer TEXT\n" in done.stderr


@pytest.mark.parametrize(
    ("text", "answer"),
    [("7", 7), ('{"a": 1}', {"a": 1}), ("the second one\n", "the second one"), ("", None), (" ", None)],
)
def test_an_answer_is_json_if_it_looks_like_it(text: str, answer: object) -> None:
    assert read_answer(text) == answer
