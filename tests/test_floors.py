"""The house: an import points down, and a graph file is wiring only."""

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
FLOORS = ["state", "guards", "nodes", "graphs", "interlock"]
FILES = [file for floor in FLOORS for file in sorted((ROOT / floor).rglob("*.py"))]
WORKFLOW = {"state.answer", "state.evidence", "state.report", "state.research"}
VENDORS = {"anthropic", "httpx", "httpx2", "langchain_openai", "openai"}
WIRING = {"langgraph", "collections", "typing", "typing_extensions", *FLOORS[:4]}


def imported(file: Path) -> Iterator[str]:
    for node in ast.walk(ast.parse(file.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            yield "." * node.level + (node.module or "")
        elif isinstance(node, ast.Call) and ast.unparse(node.func).endswith(("import_module", "__import__")):
            yield from (arg.value for arg in node.args[:1] if isinstance(arg, ast.Constant))


@pytest.mark.parametrize("file", FILES, ids=lambda file: str(file.relative_to(ROOT)))
def test_imports_point_down(file: Path) -> None:
    floor = file.relative_to(ROOT).parts[0]
    above = {*FLOORS[FLOORS.index(floor) + 1 :], "bench", "examples", "tests", ""}
    assert not {name for name in imported(file) if name.split(".")[0] in above}


@pytest.mark.parametrize("file", sorted((ROOT / "guards").rglob("*.py")), ids=lambda file: file.name)
def test_guards_know_no_workflow_and_no_vendor(file: Path) -> None:
    names = set(imported(file))
    assert not {name for name in names if name in WORKFLOW or name.split(".")[0] in VENDORS}


@pytest.mark.parametrize("file", sorted((ROOT / "graphs").glob("[!_]*.py")), ids=lambda file: file.name)
def test_a_graph_is_wiring_only(file: Path) -> None:
    tree = list(ast.walk(ast.parse(file.read_text(encoding="utf-8"))))
    assert not [node for node in tree if isinstance(node, ast.ClassDef | ast.Await | ast.AsyncFor | ast.AsyncWith)]
    assert not [node for node in tree if isinstance(node, ast.Call) and ast.unparse(node.func) in {"open", "print"}]
    assert {name.split(".")[0] for name in imported(file)} <= WIRING
