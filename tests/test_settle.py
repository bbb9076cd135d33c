"""Settling: a stated rule picks among different values, or a person does, or nobody; no value is ever lost."""

import json
from pathlib import Path
from typing import Any

import pytest
from langgraph.checkpoint.sqlite.aio import AsyncSqliteSaver
from langgraph.types import Command

from graphs.research import POLICY, build
from guards import guard
from guards.running.scope import request_stop
from nodes.text.policies import answered, applied
from state.answer import Answer
from state.evidence import Finding
from state.report import Conflict, Value
from state.research import Context, MergePolicy

QUESTION = "Which sources disagree about what the Harbour Line cost and when it opened?"
COSTS = ["287 million crowns", "301.4 million crowns"]
DAYS = ["12 May 2023", "19 May 2023"]


def value(text: str, *sources: str) -> Value:
    return Value(value=text, source_ids=sources, quote=text)


def finding(source_id: str, date: str = "", also: tuple[str, ...] = ()) -> Finding:
    return Finding(
        source_id=source_id, kind="file", collector="documents", text="x", place=source_id, end=1, date=date, also=also
    )


EVIDENCE = [
    finding("press/a.md", "2023-05-12", also=("press/copy.md", "press/copy2.md")),
    finding("audit/b.md", "2024-03-18"),
    finding("audit/c.md"),
    finding("web/d.md", "2020-01-01"),
]
CONFLICT = Conflict(
    subject="cost",
    values=(
        value("287", "press/a.md", "press/copy.md", "press/copy2.md"),
        value("301", "audit/b.md", "audit/c.md"),
        value("305", "web/d.md"),
    ),
)


def chosen(policy: MergePolicy, trusted: tuple[str, ...] = (), conflict: Conflict = CONFLICT) -> str:
    (settled,) = applied(policy, [conflict], EVIDENCE, trusted)
    assert settled.values == conflict.values
    assert settled.rule == policy
    return settled.chosen


# -- the rules


def test_keep_all_picks_nothing() -> None:
    assert applied("keep_all", [CONFLICT], EVIDENCE) == [CONFLICT]


def test_the_majority_counts_copies_once() -> None:
    assert chosen("majority") == "301"


def test_a_tie_has_no_majority() -> None:
    assert chosen("majority", conflict=CONFLICT.model_copy(update={"values": CONFLICT.values[::2]})) == ""


def test_the_newest_source_speaks() -> None:
    assert chosen("newest") == "301"


def test_no_date_and_equal_dates_have_no_newest() -> None:
    undated = CONFLICT.model_copy(update={"values": (value("1", "audit/c.md"), value("2", "gone.md"))})
    assert chosen("newest", conflict=undated) == ""
    same = CONFLICT.model_copy(update={"values": (value("1", "audit/b.md"), value("2", "audit/b.md"))})
    assert chosen("newest", conflict=same) == ""


@pytest.mark.parametrize(
    ("trusted", "pick"),
    [
        (("audit/",), "301"),
        (("web/d.md", "audit/"), "305"),
        (("nobody", "press/"), "287"),
        (("nobody",), ""),
        ((), ""),
        (("",), ""),
    ],
)
def test_the_first_trusted_source_speaks(trusted: tuple[str, ...], pick: str) -> None:
    assert chosen("trusted", trusted) == pick


def test_trust_in_two_values_alike_picks_none() -> None:
    both = CONFLICT.model_copy(update={"values": (value("1", "audit/b.md"), value("2", "audit/c.md"))})
    assert chosen("trusted", ("audit/",), both) == ""


@pytest.mark.parametrize(
    ("answer", "pick"),
    [
        (["305"], "305"),
        ({0: "287"}, "287"),
        ({"0": "287"}, "287"),
        (["12"], ""),
        ([None], ""),
        ([], ""),
        ({"7": "287"}, ""),
        ("305", ""),
        (None, ""),
        (17, ""),
        ([["305"]], ""),
    ],
)
def test_a_person_can_pick_what_is_there_and_nothing_else(answer: object, pick: str) -> None:
    (settled,) = answered([CONFLICT], answer)
    assert (settled.rule, settled.chosen, settled.values) == ("ask", pick, CONFLICT.values)


# -- the node, in the whole graph


@pytest.fixture
def docs(tmp_path: Path) -> Path:
    """Two documents that disagree about two things."""
    folder = tmp_path / "docs"
    folder.mkdir()
    for name, cost, day in zip(("a", "b"), COSTS, DAYS, strict=True):
        text = f"# The Harbour Line\n\nThe Harbour Line cost {cost}. The Harbour Line opened on {day}.\n"
        (folder / f"{name}-{2023 + ord(name) - ord('a')}-01-01.md").write_text(text)
    return folder


def asked(docs: Path) -> dict[str, Any]:
    return {"question": QUESTION, "docs": [str(docs)]}


@pytest.fixture
def graph() -> Any:
    return guard(build(), POLICY, name="research")


def picks(answer: Answer) -> list[tuple[str, str]]:
    return [(conflict.rule, conflict.chosen) for conflict in answer.conflicts]


def assert_all_shown(answer: Answer) -> None:
    shown = [{value.value for value in conflict.values} for conflict in answer.conflicts]
    assert shown == [set(COSTS), set(DAYS)]
    assert all(text in answer.report for text in (*COSTS, *DAYS))
    assert {quote.source_id for quote in answer.quotes} == {"a-2023-01-01.md", "b-2024-01-01.md"}


@pytest.mark.parametrize(
    ("context", "expected"),
    [
        (None, [("keep_all", "")] * 2),
        (Context(merge="majority"), [("majority", "")] * 2),
        (Context(merge="newest"), [("newest", COSTS[1]), ("newest", DAYS[1])]),
        (Context(merge="trusted", trusted=("a-",)), [("trusted", COSTS[0]), ("trusted", DAYS[0])]),
    ],
)
async def test_every_policy_shows_every_value(
    graph: Any, docs: Path, context: Context | None, expected: list[tuple[str, str]]
) -> None:
    answer = (await graph.ainvoke(asked(docs), context=context))["answer"]
    assert_all_shown(answer)
    assert picks(answer) == expected
    assert answer.outcome == "complete"


ASKING = Context(merge="ask")


async def test_a_person_is_asked_once_and_the_answer_is_recorded(graph: Any, docs: Path, tmp_path: Path) -> None:
    async with AsyncSqliteSaver.from_conn_string(str(tmp_path / "checkpoints.sqlite")) as saver:
        graph.checkpointer = saver
        config = {"configurable": {"thread_id": "t"}}
        paused = await graph.ainvoke(asked(docs), config, context=ASKING)
        (question,) = paused["__interrupt__"]
        payload = json.loads(json.dumps(question.value))
        assert [{value["value"] for value in group["values"]} for group in payload["groups"]] == [set(COSTS), set(DAYS)]
        done = await graph.ainvoke(Command(resume=[COSTS[1], ""]), config, context=ASKING)
    assert "__interrupt__" not in done
    assert_all_shown(done["answer"])
    assert picks(done["answer"]) == [("ask", COSTS[1]), ("ask", "")]
    assert done["answer"].outcome == "complete"
    assert f"a person chose: {COSTS[1]}" in done["answer"].report


async def test_an_answer_counts_though_the_context_is_not_repeated(graph: Any, docs: Path, tmp_path: Path) -> None:
    async with AsyncSqliteSaver.from_conn_string(str(tmp_path / "checkpoints.sqlite")) as saver:
        graph.checkpointer = saver
        config = {"configurable": {"thread_id": "t"}}
        await graph.ainvoke(asked(docs), config, context=ASKING)
        done = await graph.ainvoke(Command(resume={"1": DAYS[0]}), config)
    assert picks(done["answer"]) == [("ask", ""), ("ask", DAYS[0])]


async def test_without_a_checkpointer_all_values_are_kept_and_the_run_says_so(graph: Any, docs: Path) -> None:
    done = await graph.ainvoke(asked(docs), context=ASKING)
    assert "__interrupt__" not in done
    assert_all_shown(done["answer"])
    assert picks(done["answer"]) == [("keep_all", "")] * 2
    assert done["answer"].outcome == "partial"
    assert "cannot wait for a person" in done["answer"].stop_reason


async def test_nobody_is_asked_when_nothing_differs(graph: Any, tmp_path: Path) -> None:
    folder = tmp_path / "one"
    folder.mkdir()
    (folder / "a.md").write_text("The Harbour Line cost 5 million crowns.\n")
    async with AsyncSqliteSaver.from_conn_string(str(tmp_path / "checkpoints.sqlite")) as saver:
        graph.checkpointer = saver
        config = {"configurable": {"thread_id": "t"}}
        done = await graph.ainvoke(asked(folder), config, context=ASKING)
    assert "__interrupt__" not in done
    assert (done["answer"].outcome, done["answer"].conflicts) == ("complete", ())


async def test_an_ending_run_asks_nobody_and_still_shows_the_values(graph: Any, docs: Path, tmp_path: Path) -> None:
    """The stop comes between merge and settle; the values of what was found are grouped all the same."""
    async with AsyncSqliteSaver.from_conn_string(str(tmp_path / "checkpoints.sqlite")) as saver:
        graph.checkpointer = saver
        config = {"configurable": {"thread_id": "stopped"}}
        merged = 0
        async for update in graph.astream(asked(docs), config, context=ASKING, stream_mode="updates"):
            merged += "merge" in update
            if merged == 2:
                request_stop("stopped", "enough")
            last = update
        done = (await graph.aget_state(config)).values
    assert "__interrupt__" not in last
    assert done["answer"].outcome == "stopped"
    assert [{value.value for value in conflict.values} for conflict in done["answer"].conflicts] == [
        set(COSTS),
        set(DAYS),
    ]
    assert all(text in done["answer"].report for text in (*COSTS, *DAYS))
