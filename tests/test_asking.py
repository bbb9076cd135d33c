"""A run that waits for a person: asked at a terminal, left for later without one."""

import os
import pty
import re
import select
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from interlock.asking import chosen_values
from interlock.cli import main
from interlock.exits import BadUsage
from state.answer import Answer

ROOT = Path(__file__).parent.parent
WAITS = """
from interlock import asking, runner
from interlock.__main__ import run
from interlock.events import Event
from state.answer import Answer
async def start(job, store, show):
    show(Event("r1", "merge", "running"))
    values = [{"value": value, "source_ids": ["a.md", "b.md"]} for value in ("5 km", "7 km")]
    raise runner.Paused("r1", {"groups": [{"subject": "length", "values": values}]})
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
        assert select.select([terminal[0]], [], [], 60)[0], seen
        seen += os.read(terminal[0], 1_000).decode(errors="replace")
    return seen


def test_at_a_terminal_the_answer_is_asked_for(terminal: tuple[int, int]) -> None:
    asking = process(terminal)
    shown = wait_for(terminal, "all of its values)? ")
    assert "group 1: length" in shown and "2: 7 km  (a.md, b.md)" in shown
    os.write(terminal[0], b"3\n")
    assert "'3' is none of 0 to 2" in wait_for(terminal, "all of its values)? ")
    os.write(terminal[0], b"2\n")
    assert asking.communicate(timeout=60)[0] == "You said ['7 km'].\n"
    assert asking.returncode == 0


def test_ctrl_c_at_the_question_leaves_the_run_for_later(terminal: tuple[int, int]) -> None:
    asking = process(terminal)
    wait_for(terminal, "all of its values)? ")
    asking.send_signal(2)
    wait_for(terminal, "interlock resume r1 --answer N,...")
    assert asking.communicate(timeout=60)[0] == ""
    assert asking.returncode == 3


def test_without_a_terminal_one_line_says_how_to_go_on() -> None:
    done = subprocess.run(ASK, stdin=subprocess.DEVNULL, capture_output=True, text=True, cwd=ROOT, timeout=60)
    assert (done.returncode, done.stdout) == (3, "")
    assert "2: 7 km" in done.stderr and "interlock resume r1 --answer N,..." in done.stderr


GROUPS = [
    {"subject": "s", "values": [{"value": "5 km"}, {"value": "7 km"}]},
    {"subject": "t", "values": [{"value": "x"}]},
]


@pytest.mark.parametrize(("said", "chosen"), [("1,1", ["5 km", "x"]), ("2 0", ["7 km", ""]), (" 0 , 0 ", ["", ""])])
def test_one_number_a_group_chooses(said: str, chosen: list[str]) -> None:
    assert chosen_values(GROUPS, said) == chosen


@pytest.mark.parametrize("said", ["1", "1,1,1", "3,0", "1,2", "-1,0", "a,b", "7 km,x", "²,0", "9" * 5_000 + ",0"])
def test_what_is_no_choice_is_refused(said: str) -> None:
    with pytest.raises(BadUsage, match="one number a group"):
        chosen_values(GROUPS, said)


def test_values_are_asked_about_and_the_chosen_one_stands_in_the_report(
    tmp_path: Path, capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("sys.stdin", (tmp_path / "nobody").open("w+"))
    docs = tmp_path / "docs"
    docs.mkdir()
    for name, length in {"plan": "11.4", "survey": "11.9"}.items():
        (docs / f"{name}.md").write_text(f"# Harbour Line\n\nThe Harbour Line is {length} km long.\n", encoding="utf-8")
    monkeypatch.chdir(tmp_path)
    asked = ["research", "How long is the Harbour Line in km?", "--docs", "docs", "--merge", "ask", "--json"]
    assert main(asked) == 3
    out, err = capfd.readouterr()
    assert out == "" and "11.4 km  (plan.md)" in err and "values: " not in err
    (run,) = re.findall(r"interlock resume (\w+) ", err)
    number = re.findall(r"(\d): 11.9 km", err)[0]
    monkeypatch.chdir("/")  # paths still start where the question was asked
    assert main(["resume", run, "--answer", "9"]) == 2
    assert main(["resume", run, "--answer", number, "--json"]) == 0
    answer = Answer.model_validate_json(capfd.readouterr().out)
    assert answer.conflicts[0].chosen == "11.9 km"
