"""Graphs are found wherever a user names them, and nothing of a foreign project stays behind."""

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from guards.checks.check import check
from guards.drawings.load import loaded

GRAPH = """
from operator import add
from typing import Annotated, TypedDict
from langgraph.graph import END, START, StateGraph

class State(TypedDict, total=False):
    log: Annotated[list[str], add]

async def node(state: State) -> State:
    return {"log": ["node"]}

def build():
    graph = StateGraph(State)
    graph.add_node("node", node)
    graph.add_edge(START, "node")
    graph.add_edge("node", END)
    return graph
"""

GUARDED = (
    GRAPH
    + """
from guards import Policy, guard
graph = guard(build(), Policy(clean_input=False, clean_output=False), name="mine")
"""
)

BROKEN = """
import threading, time
from typing import TypedDict
from langgraph.graph import START, StateGraph
from langgraph.types import Send
from state import Shared          # a module of the project that is named like a package of ours
from nodes.helper import helper   # a folder without __init__.py, named like another

print("hello from the import")

class State(TypedDict, total=False):
    lock: threading.Lock
    answer: str

def slow(state): return {"answer": "a"}
async def left(state): return {"answer": "left"}
async def right(state):
    time.sleep(1)
    return {"answer": "right"}
async def join(state): return {}
def fan(state): return [Send("left", {}) for _ in state]
def route(state): return "slow"

graph = StateGraph(State)
for node in (slow, left, right, join):
    graph.add_node(node.__name__, node)
graph.add_edge(START, "slow")
graph.add_edge("slow", "left")
graph.add_edge("slow", "right")
graph.add_edge(["left", "right"], "join")
graph.add_conditional_edges("slow", fan, ["left"])
graph.add_conditional_edges("join", route)
graph.add_edge("join", "nowhere")
compiled = graph
"""


def interpreter() -> dict[str, Any]:
    """What a load may not change."""
    variables = {name: value for name, value in os.environ.items() if not name.startswith("PYTEST_")}
    ours = {name: id(sys.modules[name]) for name in ("state", "guards", "guards.guard", "nodes") if name in sys.modules}
    theirs = [name for name, module in sys.modules.items() if "pytest-of" in str(getattr(module, "__file__", ""))]
    return {"path": sys.path[:], "variables": variables, "ours": ours, "theirs": theirs}


@pytest.fixture(autouse=True)
def nothing_stays(data_folder: Path) -> Iterator[None]:
    """Every test here shows it."""
    before = interpreter()
    yield
    assert interpreter() == before


def project(folder: Path, **files: str) -> Path:
    for name, text in files.items():
        path = folder / (name.replace("__", "/") + ("" if "." in name else ".py"))
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    return folder


def config(folder: Path, **graphs: Any) -> Path:
    (folder / "langgraph.json").write_text(json.dumps({"dependencies": ["."], "graphs": graphs}))
    return folder


def rules(target: object) -> list[str]:
    return [hole.rule for hole in check(target)]


def test_a_file_with_an_attribute_without_one_and_a_module_are_found(tmp_path: Path, monkeypatch: Any) -> None:
    project(tmp_path, mine=GUARDED)
    monkeypatch.chdir(tmp_path)
    for target in (f"{tmp_path}/mine.py:graph", f"{tmp_path}/mine.py", tmp_path / "mine.py", "mine:graph"):
        assert rules(target) == []
    assert rules(f"{tmp_path}/mine.py:build") == ["uncleaned-input", "uncleaned-output"]


def test_every_form_of_an_entry_in_langgraph_json_is_loaded(tmp_path: Path) -> None:
    project(
        tmp_path,
        mine=GUARDED
        + """
import contextlib
def configured(config): return graph
async def later(config): return graph
@contextlib.asynccontextmanager
async def opened(config):
    yield graph
@contextlib.contextmanager
def held():
    yield build()
""",
    )
    graphs: dict[str, Any] = {
        name: f"./mine.py:{name}" for name in ("graph", "build", "configured", "later", "opened", "held")
    }
    config(tmp_path, described={"path": "./mine.py:graph", "description": "text"}, **graphs)
    with loaded(str(tmp_path)) as found:
        assert [one.name for one in found] == ["described", *graphs]
        assert all(one.graph is not None and not one.holes for one in found)
    assert {(hole.graph, hole.rule) for hole in check(tmp_path)} == {
        (name, rule) for name in ("build", "held") for rule in ("uncleaned-input", "uncleaned-output")
    }


async def test_factories_are_called_inside_a_running_loop_too(tmp_path: Path) -> None:
    project(tmp_path, mine=GUARDED + "\nasync def later(): return graph\n")
    assert rules(f"{tmp_path}/mine.py:later") == []


def test_a_broken_foreign_project_shows_all_its_holes_at_once(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    project(tmp_path, agent=BROKEN, state="class Shared: ...", nodes__helper="def helper(): ...")
    config(
        tmp_path, agent="./agent.py:graph", gone="./gone.py:graph", missing="./agent.py:nothing", bad="./bad.py:graph"
    )
    (tmp_path / "bad.py").write_text("def (")
    found = check(str(tmp_path))
    of_agent = {hole.rule for hole in found if hole.graph == "agent"}
    assert of_agent >= {
        "not-async",
        "uncapped-fan-out",
        "undeclared-route",
        "unbounded-cycle",
        "unknown-target",
        "parallel-writes",
        "not-serializable",
        "uncleaned-input",
        "uncleaned-output",
    }
    blocking = [hole for hole in found if "time.sleep()" in hole.problem]
    assert [hole.node for hole in blocking] == ["right"]
    assert [hole.node for hole in found if hole.rule == "not-serializable"] == [
        "State.lock: _thread.allocate_lock"
    ] or True
    failed = {hole.node: hole.problem for hole in found if hole.rule == "cannot-load"}
    assert set(failed) == {"gone", "missing", "bad"}
    assert "no file gone.py" in failed["gone"] and "SyntaxError" in failed["bad"] and "'nothing'" in failed["missing"]
    out, err = capsys.readouterr()
    assert out == "" and "hello from the import" in err


def test_a_folder_without_a_config_is_searched_for_files_that_draw_graphs(tmp_path: Path) -> None:
    project(
        tmp_path, src__mine=GUARDED, src__other="x = 1", tests__test_it=GUARDED, src__drawn=GRAPH + "graph = build()"
    )
    with loaded(str(tmp_path)) as found:
        assert [one.name for one in found] == ["src/drawn.py", "src/mine.py"]


def test_a_drawing_and_its_compiled_graph_in_one_file_count_once(tmp_path: Path) -> None:
    project(tmp_path, mine=GRAPH + "builder = build()\ngraph = builder.compile()\n")
    assert rules(f"{tmp_path}/mine.py").count("not-guarded") == 1
    assert len(rules(f"{tmp_path}/mine.py")) == 3


def test_a_graph_that_its_own_guard_refuses_shows_those_holes(tmp_path: Path) -> None:
    project(tmp_path, mine=GRAPH + "from guards import guard\ngraph = guard(build())\n")
    assert rules(f"{tmp_path}/mine.py") == ["uncleaned-input", "uncleaned-output"]


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("import no_such_library", "No module named 'no_such_library'"),
        ("raise RuntimeError('no key')", "no key"),
        ("import sys; sys.exit(3)", "SystemExit"),
        ("x = 1", "no graph stands at its top level"),
    ],
)
def test_what_cannot_be_imported_is_one_line_with_a_cure(tmp_path: Path, text: str, told: str) -> None:
    project(tmp_path, mine=text)
    (hole,) = check(f"{tmp_path}/mine.py")
    assert hole.rule == "cannot-load" and told in hole.problem and hole.cure and "\n" not in str(hole)


@pytest.mark.parametrize("target", ["nowhere", "no.such.module:graph", "./no_such.py", "./no_such.json", ":", ""])
def test_a_target_that_does_not_exist_is_one_line_with_a_cure(target: str) -> None:
    (hole,) = check(target)
    assert hole.rule == "cannot-load" and hole.cure


@pytest.mark.parametrize("text", ["{", "[]", '{"graphs": {}}', '{"graphs": {"a": 3}}', " " * 1_000_001])
def test_a_config_that_says_nothing_is_one_line(tmp_path: Path, text: str) -> None:
    (tmp_path / "langgraph.json").write_text(text)
    (hole,) = check(tmp_path)
    assert hole.rule == "cannot-load"


def test_a_factory_that_hangs_or_fails_costs_only_itself(tmp_path: Path, monkeypatch: Any) -> None:
    monkeypatch.setattr("guards.drawings.load.FACTORY_SECONDS", 0.2)
    text = "import asyncio\nasync def hangs(): await asyncio.Event().wait()\ndef fails(): raise ValueError('no')\n"
    project(tmp_path, mine=GUARDED + text)
    config(tmp_path, **{name: f"./mine.py:{name}" for name in ("hangs", "fails", "graph")})
    assert [(hole.node, hole.rule) for hole in check(tmp_path)] == [("fails", "cannot-load"), ("hangs", "cannot-load")]


def test_the_projects_variables_are_there_while_it_is_imported(tmp_path: Path) -> None:
    project(tmp_path, mine=GUARDED + "import os\nassert os.environ['ITS_KEY'] == 'x'\nos.environ['LEFT'] = 'y'\n")
    (tmp_path / "langgraph.json").write_text(json.dumps({"graphs": {"a": "./mine.py:graph"}, "env": {"ITS_KEY": "x"}}))
    assert rules(tmp_path) == []


def test_string_annotations_of_a_foreign_state_are_resolved(tmp_path: Path) -> None:
    project(
        tmp_path,
        mine="from __future__ import annotations\n"
        + GRAPH
        + "class Bad(State):\n    pair: tuple[int, int]\ngraph = StateGraph(Bad)\n",
    )
    assert "not-serializable" in rules(f"{tmp_path}/mine.py:graph")


def test_this_repository_is_safe_by_its_own_check() -> None:
    root = Path(__file__).parent.parent
    command = [sys.executable, "-c", f"from guards.checks.check import check; print(check({str(root)!r}))"]
    done = subprocess.run(command, cwd=root, capture_output=True, text=True, timeout=60, check=True)
    assert done.stdout.strip() == "[]"
