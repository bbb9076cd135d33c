"""Many questions in one call: every line is checked first, the answers come in order, and a second call goes on."""

import fcntl
import json
from collections.abc import Callable
from pathlib import Path

import pytest

from interlock import questions, runner
from interlock.cli import main
from interlock.events import Event
from interlock.runner import Job
from interlock.store import Store
from state.answer import Answer
from state.guarded import Outcome

Call = Callable[..., tuple[int, str, str]]


@pytest.fixture
def asked(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> Call:
    """Put a file's questions to a folder; exit code, stdout, stderr."""
    (tmp_path / "docs").mkdir()

    def run(lines: str | bytes, *more: str) -> tuple[int, str, str]:
        path = tmp_path / "questions.jsonl"
        path.write_bytes(lines if isinstance(lines, bytes) else lines.encode())
        code = main(["research", "--questions", str(path), "--docs", str(tmp_path / "docs"), *more])
        return code, *capfd.readouterr()

    return run


@pytest.fixture
def answers(monkeypatch: pytest.MonkeyPatch) -> dict[str, Outcome]:
    """A runner that answers without asking anybody, by the outcome noted for a question; complete otherwise."""
    noted: dict[str, Outcome] = {}

    async def start(job: Job, store: Store, show: Callable[[Event], None]) -> Answer:
        question = job.question["question"]
        outcome = noted.get(question, "complete")
        return Answer(id=job.id, question=question, outcome=outcome, mode="extractive", report="r")

    monkeypatch.setattr(runner, "start", start)
    return noted


def lines(*names: str) -> str:
    return "".join(json.dumps({"id": name, "question": f"What about {name}?"}) + "\n" for name in names)


def ids(path: Path) -> list[str]:
    return [json.loads(line)["id"] for line in path.read_text(encoding="utf-8").splitlines()]


GOOD = '{"id": "1", "question": "q"}\n'
SLIPS: dict[str, tuple[str | bytes, str]] = {
    "nothing": ("", "holds no question"),
    "blank lines": ("\n \n", "holds no question"),
    "no JSON": (GOOD + "What?\n", "line 2 is no JSON"),
    "no object": (GOOD + "\n[]\n", "line 3 is no JSON object"),
    "no question": (GOOD + '{"id": "2"}', 'line 2: "question" is missing'),
    "blank question": (GOOD + '{"question": " "}', 'line 2: "question" is missing'),
    "question of numbers": (GOOD + '{"question": 5}', 'line 2: "question" is missing'),
    "id of lists": (GOOD + '{"id": [], "question": "q"}', 'line 2: "id" must be'),
    "id twice": (GOOD + GOOD, "line 2: the id '1' is there twice"),
    "bytes": (b"\xff\xfe\x00\x01", "cannot be read as UTF-8 text"),
    "deep": (GOOD + "[" * 15_000, "line 2 is no JSON"),
    "long": (GOOD + json.dumps({"question": "q" * questions.LINE_CHARACTERS}), "line 2 is longer than"),
    "lone surrogate": (GOOD + '{"question": "\\ud800"}', 'line 2: "question" is no valid UTF-8'),
}


@pytest.mark.parametrize("slip", SLIPS)
def test_a_bad_line_is_named_before_anything_runs(slip: str, asked: Call, tmp_path: Path) -> None:
    text, said = SLIPS[slip]
    code, out, err = asked(text, "--jsonl", str(tmp_path / "out.jsonl"))
    assert (code, out) == (2, "")
    assert err.count("\n") == 1 and said in err
    assert not (tmp_path / "out.jsonl").exists()


def test_a_file_that_is_too_large_is_not_read(asked: Call, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(questions, "FILE_BYTES", 10)
    assert "split it" in asked(GOOD)[2]


def test_too_many_questions_are_refused(asked: Call, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(questions, "QUESTIONS", 2)
    assert "more than 2 questions" in asked(lines("a", "b", "c"))[2]


@pytest.mark.parametrize("options", [["--json"], ["--out", "a.md"], ["a question"]])
def test_options_for_one_question_are_refused(options: list[str], asked: Call) -> None:
    code, _, err = asked(GOOD, *options)
    assert code == 2 and "is for one question" in err


def test_answers_come_in_the_order_of_the_questions(asked: Call, tmp_path: Path, answers: dict[str, Outcome]) -> None:
    names = [str(number) for number in range(30)]
    assert asked(lines(*names), "--jsonl", str(tmp_path / "out.jsonl"), "--at-once", "7")[0] == 0
    assert ids(tmp_path / "out.jsonl") == names


def test_without_a_file_the_answers_go_to_stdout(asked: Call, answers: dict[str, Outcome]) -> None:
    code, out, _ = asked('{"question": "q"}\n\n{"question": "q", "id": 7, "more": "is passed over"}\n')
    assert code == 0
    assert [Answer.model_validate_json(line).id for line in out.splitlines()] == ["1", "7"]


def test_the_worst_outcome_decides(asked: Call, tmp_path: Path, answers: dict[str, Outcome]) -> None:
    answers["What about b?"] = "refused"
    answers["What about c?"] = "partial"
    out = ("--jsonl", str(tmp_path / "out.jsonl"))
    assert asked(lines("a", "b", "c"), *out)[0] == 4
    assert asked(lines("a", "b", "c"), *out)[0] == 4, "answers of an earlier call count too"
    assert asked(lines("a", "c"), *out)[0] == 3


def test_a_second_call_asks_only_what_is_left(asked: Call, tmp_path: Path, answers: dict[str, Outcome]) -> None:
    path = tmp_path / "out.jsonl"
    assert asked(lines("a", "b"), "--jsonl", str(path))[0] == 0
    before = path.read_text(encoding="utf-8")
    code, _, err = asked(lines("a", "b", "c"), "--jsonl", str(path))
    assert code == 0 and "2 of 3 are answered already" in err
    assert path.read_text(encoding="utf-8").startswith(before) and ids(path) == ["a", "b", "c"]


@pytest.mark.parametrize("text", ["my notes\n", "my notes", '{"id": "a"}\n', '{"id": "a", "outcome": "fine"}\n'])
def test_a_file_of_something_else_is_left_alone(
    text: str, asked: Call, tmp_path: Path, answers: dict[str, Outcome]
) -> None:
    path = tmp_path / "out.jsonl"
    path.write_text(text, encoding="utf-8")
    code, _, err = asked(GOOD, "--jsonl", str(path))
    assert code == 2 and "line 1 is no answer of ours" in err
    assert path.read_text(encoding="utf-8") == text


def test_two_calls_do_not_write_to_one_file(asked: Call, tmp_path: Path, answers: dict[str, Outcome]) -> None:
    path = tmp_path / "out.jsonl"
    with path.open("w") as other:
        fcntl.flock(other, fcntl.LOCK_EX)
        code, _, err = asked(GOOD, "--jsonl", str(path))
    assert code == 2 and "another interlock is writing to it" in err


def test_a_fault_keeps_what_was_answered(
    asked: Call, tmp_path: Path, answers: dict[str, Outcome], monkeypatch: pytest.MonkeyPatch
) -> None:
    sound = runner.start

    async def start(job: Job, store: Store, show: Callable[[Event], None]) -> Answer:
        if job.id == "b":
            raise KeyError
        return await sound(job, store, show)

    monkeypatch.setattr(runner, "start", start)
    code, _, err = asked(lines("a", "b", "c"), "--jsonl", str(tmp_path / "out.jsonl"), "--at-once", "1")
    assert code == 1 and "a fault of ours" in err
    assert ids(tmp_path / "out.jsonl") == ["a"]
