"""`interlock chaos` breaks graphs, sees which survive, and tells which do not (guide: N4)."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from interlock import chaos
from interlock.arguments import arguments
from interlock.chaos import Trial
from interlock.chaotic.crew import Crew
from interlock.chaotic.trial import Verdict
from interlock.exits import BadUsage

SOUND = """
from operator import add
from typing import Annotated
from typing_extensions import TypedDict
from langgraph.graph import END, START, StateGraph
from guards import Policy, closing, fallback, gather, guard

class Log(TypedDict, total=False):
    log: Annotated[list[str], add]
    topic: str

async def plan(state: Log) -> Log:
    return {"log": ["plan"]}

async def one(state: Log) -> Log:
    return {"log": ["one"]}

async def other(state: Log) -> Log:
    return {"log": ["other"]}

async def join(state: Log) -> Log:
    return {"log": ["join"]}

async def plain(state: Log) -> Log:
    return {"log": ["plain"]}

def build():
    graph = StateGraph(Log)
    graph.add_node("plan", fallback(plan, plain))
    graph.add_edge(START, "plan")
    gather(graph, "plan", [one, other], into=closing(join))
    graph.add_edge("join", END)
    return graph

graph = guard(build(), Policy(clean_input=False, clean_output=False, seconds=60), name="sound")
"""
FORGETFUL = (
    SOUND.replace('return {"log": ["plan"]}', 'BEGAN.append(1)\n    return {"log": ["plan"]}')
    .replace('return {"log": ["join"]}', 'return {"log": ["join"], **({"topic": "x"} if BEGAN else {})}')
    .replace("class Log", "BEGAN = []\n\nclass Log")
)
"""What it says at the end depends on what its process did at the beginning."""

Call = Callable[..., int]


@pytest.fixture
def sound(tmp_path: Path) -> str:
    path = tmp_path / "sound.py"
    path.write_text(SOUND)
    return f"{path}:graph"


def called(*words: str) -> int:
    return chaos.main(arguments(["chaos", *words]))


def test_a_guarded_graph_survives_what_is_drawn(sound: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert called(sound, "--runs", "7", "--seed", "2", "--seconds", "2", "--json") == 0
    out, err = capsys.readouterr()
    told = json.loads(out)
    assert told["survived"] == len(told["trials"]) == 7 and err.count("survived") == 7


@pytest.mark.parametrize(
    "trial", [Trial("exception", "plan"), Trial("junk", "one"), Trial("no budget"), Trial("kill", kill=2)]
)
def test_every_kind_of_trial_says_what_came_of_it(sound: str, trial: Trial) -> None:
    with Crew(sound, {"log": []}, 2.0) as crew:
        clean = crew.try_out(crew.spec())
        assert clean.broken == () and clean.outcome == "complete" and clean.ran["join"] == 1
        verdict = chaos._tried(crew, trial, clean, 1)
    assert verdict.broken == () and verdict.outcome in ("complete", "partial")
    assert (verdict.outcome == "partial") == bool(trial.node)


def test_a_graph_that_forgets_what_its_process_knew_does_not_survive(tmp_path: Path) -> None:
    path = tmp_path / "forgetful.py"
    path.write_text(FORGETFUL)
    with Crew(f"{path}:graph", {"log": []}, 2.0) as crew:
        clean = crew.try_out(crew.spec())
        verdict = chaos._tried(crew, Trial("kill", kill=3), clean, 1)
    assert "topic" in clean.keys and "topic" not in verdict.keys and "the clean run" in verdict.broken[0]


def test_the_same_seed_draws_the_same_trials() -> None:
    nodes = ["a", "b", "c"]
    assert chaos._drawn(nodes, 5, 1, 9) == chaos._drawn(nodes, 5, 1, 9) != chaos._drawn(nodes, 5, 2, 9)
    every = chaos._drawn(nodes, 5, 1, None)
    assert len(every) == len(set(every)) and {trial.node for trial in every} == {"", *nodes}
    assert chaos._drawn(nodes, 5, 1, 10_000) == every


def test_what_failed_is_told_with_its_reason_and_the_exit_code() -> None:
    good, bad = Verdict(outcome="partial"), Verdict(("1 thread(s) left alive",))
    lines = list(chaos._table([(Trial("hang", "a"), good), (Trial("swallow", "a"), bad)]))
    assert lines == [
        "a  hang 1/1, swallow 0/1",
        "FAILED swallow in a: 1 thread(s) left alive",
        "1 of 2 trials survived",
    ]


@pytest.mark.parametrize(
    ("words", "said"),
    [(["--input", "{"], "no JSON"), (["--input", "[]"], "JSON object"), (["--runs", "0"], "whole number")],
)
def test_bad_usage_gets_one_line(sound: str, words: list[str], said: str) -> None:
    with pytest.raises(BadUsage, match=said):
        called(sound, *words)


def test_a_graph_that_is_not_guarded_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "bare.py"
    path.write_text(
        SOUND.replace(
            'graph = guard(build(), Policy(clean_input=False, clean_output=False, seconds=60), name="sound")',
            "graph = build().compile()",
        )
    )
    with pytest.raises(BadUsage, match="no guarded graph"):
        called(f"{path}:graph", "--runs", "1")


def test_research_survives_a_draw(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(Path(__file__).parent.parent)
    assert called("research", "--runs", "3", "--seed", "5", "--seconds", "4") == 0
    assert "3 of 3 trials survived" in capsys.readouterr().out


def test_an_input_is_made_up_from_the_schema(sound: str) -> None:
    nodes, given = chaos._looked_at(sound, None)
    assert set(nodes) == {"plan", "one", "other", "join"} and given == {"log": [], "topic": "What is known?"}
    given_too: Any = chaos._looked_at(sound, '{"log": ["x"]}')[1]
    assert given_too == {"log": ["x"]}
