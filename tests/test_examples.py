"""The examples, asked through the product: what is planted is found, and different values are all shown."""

import json
import sqlite3
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).parent.parent
EXAMPLES = ROOT / "examples"
LINES = [json.loads(line) for line in (EXAMPLES / "questions.jsonl").read_text(encoding="utf-8").splitlines()]
QUESTIONS = {line["id"]: line for line in LINES}
PLACES = ["--docs", str(EXAMPLES / "docs"), "--db", str(EXAMPLES / "operations.sqlite")]
BROKEN = "building/works-committee-minutes.pdf"

Answer = dict[str, Any]


@pytest.fixture(scope="module")
def answers(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Answer]:
    """All questions asked in one process, by id."""
    folder = tmp_path_factory.mktemp("examples")
    out = folder / "answers.jsonl"
    asked = ["research", "--questions", str(EXAMPLES / "questions.jsonl"), *PLACES, "--jsonl", str(out)]
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("INTERLOCK_DATA", str(folder / "data"))
        done = subprocess.run(
            [sys.executable, "-m", "interlock", *asked], capture_output=True, text=True, timeout=120, cwd=ROOT
        )
    assert done.returncode in (0, 3), done.stderr
    return {line["id"]: line for line in map(json.loads, out.read_text(encoding="utf-8").splitlines())}


def found(answer: Answer) -> set[str]:
    """The ids of the sources that the answer quotes."""
    return {quote["source_id"] for quote in answer["quotes"]}


@pytest.mark.parametrize("id", QUESTIONS)
def test_the_sources_are_quoted(id: str, answers: dict[str, Answer]) -> None:
    assert set(QUESTIONS[id]["sources"]) <= found(answers[id])


@pytest.mark.parametrize("id", QUESTIONS)
def test_every_value_is_shown(id: str, answers: dict[str, Answer]) -> None:
    report = " ".join(answers[id]["report"].split())
    assert [value for value in QUESTIONS[id]["values"] if value not in report] == []


@pytest.mark.parametrize("id", QUESTIONS)
def test_every_quote_of_a_text_file_is_verbatim(id: str, answers: dict[str, Answer]) -> None:
    for quote in answers[id]["quotes"]:
        if quote["source_id"].endswith((".md", ".txt", ".csv")):
            text = (EXAMPLES / "docs" / quote["source_id"]).read_text(encoding="utf-8")
            assert text[quote["start"] : quote["end"]] == quote["text"]


@pytest.mark.parametrize("id", QUESTIONS)
def test_the_broken_file_costs_only_itself(id: str, answers: dict[str, Answer]) -> None:
    (source,) = [source for source in answers[id]["sources"] if source["id"] == BROKEN]
    assert source["status"] == "failed"
    assert any(BROKEN in entry["what"] for entry in answers[id]["missing"])


@pytest.mark.parametrize("id", ["cost", "opening", "length", "speed", "fare", "quarters"])
def test_values_that_differ_stand_side_by_side(id: str, answers: dict[str, Answer]) -> None:
    groups = [{value["value"] for value in conflict["values"]} for conflict in answers[id]["conflicts"]]
    wanted = [value.split()[0] for value in QUESTIONS[id]["values"]]
    assert any(all(any(want in value for value in group) for want in wanted[:2]) for group in groups)


def test_a_copy_keeps_its_own_place(answers: dict[str, Answer]) -> None:
    ids = {passage["source_id"] for passage in answers["opening"]["passages"]}
    assert ids & {"opening/press-release-opening.html", "press/press-release-copy.html"}


@pytest.mark.parametrize("id", QUESTIONS)
def test_the_planted_orders_are_not_repeated(id: str, answers: dict[str, Answer]) -> None:
    assert "gnore all previous instructions" not in answers[id]["report"]


def test_nothing_found_is_said_so(answers: dict[str, Answer]) -> None:
    assert "no evidence found" in answers["nothing"]["report"].lower()
    assert answers["nothing"]["quotes"] == []


def test_the_binary_examples_are_what_the_script_writes(tmp_path: Path) -> None:
    script = EXAMPLES / "make_examples.py"
    subprocess.run([sys.executable, str(script), str(tmp_path)], check=True, timeout=30)
    made = sorted(file.relative_to(tmp_path) for file in tmp_path.rglob("*.pdf"))
    assert len(made) == 5
    assert [name for name in made if (tmp_path / name).read_bytes() != (EXAMPLES / name).read_bytes()] == []
    assert dump(tmp_path / "operations.sqlite") == dump(EXAMPLES / "operations.sqlite")


def dump(file: Path) -> list[str]:
    connection = sqlite3.connect(f"file:{file}?mode=ro", uri=True)
    try:
        return list(connection.iterdump())
    finally:
        connection.close()
