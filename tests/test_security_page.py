"""SECURITY.md promises nothing that no test shows."""

import ast
import re
from functools import cache
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
PAGE = (ROOT / "SECURITY.md").read_text(encoding="utf-8")
NAMED = sorted(set(re.findall(r"`(tests/\w+\.py)(?:::(\w+))?`", PAGE)))
ROWS = [line for line in PAGE.splitlines() if line.startswith("| LLM")]


@cache
def claims_of(file: str) -> set[str]:
    tree = ast.parse((ROOT / file).read_text(encoding="utf-8"))
    functions = [node for node in ast.walk(tree) if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)]
    return {function.name for function in functions if function.name.startswith("test_")}


@pytest.mark.parametrize(("file", "name"), NAMED, ids=lambda part: part.removeprefix("tests/"))
def test_every_test_that_the_page_names_exists(file: str, name: str) -> None:
    assert claims_of(file) and (not name or name in claims_of(file))


def test_every_risk_of_the_list_has_an_answer_and_a_test_that_shows_it() -> None:
    assert [row[2:7] for row in ROWS] == [f"LLM{number:02}" for number in range(1, 11)]
    assert all(re.search(r"`tests/\w+\.py::test_\w+`", row) for row in ROWS)
