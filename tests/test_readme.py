"""What the README shows is what happens."""

import os
import re
import shlex
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
README = (ROOT / "README.md").read_text(encoding="utf-8")
FENCE = re.compile(r"^```(?P<kind>[^\n]*)\n(?P<body>.*?)^```$", re.DOTALL | re.MULTILINE)


@dataclass(frozen=True)
class Block:
    kind: str
    body: str
    line: int


BLOCKS = [
    Block(found["kind"], found["body"], README[: found.start()].count("\n") + 1) for found in FENCE.finditer(README)
]
SHOWN = [
    (block, after.body if after.kind == "text" else "")
    for block, after in zip(BLOCKS, [*BLOCKS[1:], Block("", "", 0)], strict=True)
    if block.kind == "python"
]
COMMANDS = [
    line.split("  #")[0].strip() for block in BLOCKS if block.kind == "sh" for line in block.body.splitlines() if line
]


def run(args: list[str], cwd: Path) -> subprocess.CompletedProcess[str]:
    env = {**os.environ, "PYTHONPATH": str(ROOT)}
    return subprocess.run(args, capture_output=True, text=True, timeout=120, cwd=cwd, env=env)


@pytest.mark.parametrize(("block", "output"), SHOWN, ids=[f"line {block.line}" for block, _ in SHOWN])
def test_every_python_block_runs_and_prints_what_is_shown(block: Block, output: str, tmp_path: Path) -> None:
    (tmp_path / "examples").symlink_to(ROOT / "examples")
    file = tmp_path / "block.py"
    file.write_text(block.body, encoding="utf-8")
    done = run([sys.executable, str(file)], tmp_path)
    assert done.returncode == 0, done.stderr
    assert done.stdout == output


@pytest.mark.parametrize("command", [command for command in COMMANDS if command.startswith("interlock ")])
def test_every_interlock_command_works(command: str, tmp_path: Path) -> None:
    (tmp_path / "examples").symlink_to(ROOT / "examples")
    (tmp_path / "langgraph.json").symlink_to(ROOT / "langgraph.json")
    (tmp_path / "graphs").symlink_to(ROOT / "graphs")
    done = run([sys.executable, "-m", "interlock", *shlex.split(command)[1:]], tmp_path)
    assert done.returncode in (0, 3), done.stderr


@pytest.mark.parametrize("command", [command for command in COMMANDS if command.startswith("make ")])
def test_every_make_target_exists(command: str, tmp_path: Path) -> None:
    done = run(["make", "--directory", str(ROOT), "--dry-run", f"VENV={tmp_path}", *shlex.split(command)[1:]], tmp_path)
    assert done.returncode == 0, done.stderr


def test_every_shell_line_is_tried() -> None:
    assert COMMANDS
    assert all(command.startswith(("interlock ", "make ")) for command in COMMANDS)


def test_the_drawing_is_current() -> None:
    from graphs.research import graph

    shown = [block.body for block in BLOCKS if block.kind == "mermaid"]
    assert shown == [graph.get_graph().draw_mermaid().strip() + "\n"], "run `make readme`"


def test_every_link_leads_somewhere() -> None:
    links = re.findall(r"\]\(([^)#]+)[^)]*\)", README)
    assert [link for link in links if "://" not in link and not (ROOT / link).exists()] == []


def test_every_exit_code_is_told() -> None:
    assert re.findall(r"^\| (\d) \|", README, re.MULTILINE) == ["0", "1", "2", "3", "4", "5"]


def test_every_test_that_the_security_page_names_exists() -> None:
    named = set(re.findall(r"`(tests/\w+\.py)`", (ROOT / "SECURITY.md").read_text(encoding="utf-8")))
    assert len(named) > 10 and not [name for name in named if not (ROOT / name).exists()]
