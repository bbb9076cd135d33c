"""Publishing: every run ends with an answer that says what was found, what is missing, and how it ended."""

import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from langgraph.runtime import Runtime
from markdown_it import MarkdownIt

from graphs.research import graph
from nodes.publish import SOURCES, publish
from nodes.text.body import assembled
from nodes.text.report import SHOWN
from state.answer import Answer
from state.evidence import Collected, Finding, Source
from state.guarded import MISSING_KEPT, Missing, Run, Spent, join
from state.report import Conflict, Draft, Plan, Quote, Review, Value
from state.research import Context, Question

ROOT = Path(__file__).parent.parent
QUESTION = "When was the bridge built?"
FIELDS = (
    "version id question outcome stop_reason mode report claims quotes passages sources conflicts missing spent limits "
    "ceiling trace_id"
).split()


def finding(id: str = "a.md", text: str = "The bridge was built in 1932.", **more: Any) -> Finding:
    fields = {"kind": "file", "collector": "documents", "title": id, "place": f"/docs/{id}", **more}
    return Finding(source_id=id, text=text, start=0, end=len(text), location="line 1", **fields)


def place(name: str = "docs", status: Any = "ok", reason: str = "", **more: Any) -> Source:
    return Source(id=name, kind="file", place=name, status=status, reason=reason, named=True, **more)


def lost(name: str = "bad.pdf", status: Any = "failed") -> Source:
    return Source(id=name, kind="file", place=f"/docs/{name}", status=status, reason="it is no PDF: export it again")


def draft(text: str = "## Answer\n\n- “The bridge was built in 1932.” [a.md] (line 1)\n", **more: Any) -> Draft:
    quote = Quote(text="The bridge was built in 1932.", source_id="a.md", start=0, end=29)
    return Draft(**{"mode": "extractive", "text": text, "quotes": (quote,), **more})


def state(*sources: Source, **changes: Any) -> dict[str, Any]:
    collected = [Collected(collector="documents", sources=sources or (place(),), findings=(finding(),))]
    asked = {"question": QUESTION, "docs": [each.place for each in sources if each.named] or ["docs"]}
    found = {"plan": Plan(question=QUESTION), "collected": collected, "evidence": [finding()], "draft": draft()}
    return {**asked, **found, "run": Run(id="r1", trace_id="t1"), **changes}


async def published(of: dict[str, Any], context: Context | None = None) -> tuple[Answer, Run]:
    """The answer, and the run's record as it stands afterwards."""
    update = await publish(of, Runtime(context=context or Context()))  # type: ignore[arg-type]
    return update["answer"], join(of.get("run", Run()), update["run"])


async def test_the_answer_has_the_fields_of_the_contract_and_no_others() -> None:
    answer, _ = await published(state())
    assert list(json.loads(answer.model_dump_json())) == FIELDS
    assert Answer.model_validate_json(answer.model_dump_json()) == answer


def test_the_schema_in_the_docs_is_current() -> None:
    schema = (ROOT / "docs" / "answer.schema.json").read_text(encoding="utf-8")
    assert json.loads(schema) == Answer.model_json_schema(mode="serialization"), "run `make schema`"


def test_the_docs_tell_every_field() -> None:
    told = (ROOT / "docs" / "answer.md").read_text(encoding="utf-8")
    assert [name for name in FIELDS if f"| `{name}` |" not in told] == []


async def test_a_run_that_missed_nothing_is_complete_and_says_no_model_was_used() -> None:
    answer, run = await published(state())
    assert (answer.outcome, run.outcome, answer.stop_reason) == ("complete", "complete", "")
    assert answer.report.startswith(f"# {QUESTION}\n\n> **Complete") and "No language model was used" in answer.report
    assert answer.id == "r1" and answer.trace_id == "t1"


async def test_citations_become_numbers_of_the_sources_and_nothing_else_does() -> None:
    text = "x [b.md] and [a.md], again [b.md], unknown [c.md], escaped \\[a.md\\] and \\[1\\]"
    evidence = [finding("a.md", title="Herald", date="1932-05-01"), finding("b.md", title="b.md")]
    answer, _ = await published(state(draft=draft(text), evidence=evidence))
    assert "x [1] and [2], again [1], unknown [c.md], escaped \\[a.md\\] and \\[1\\]" in answer.report
    assert "1. b.md\n2. **Herald**, a.md, 1932-05-01\n" in answer.report


async def test_a_cited_copy_has_its_own_place_in_the_list() -> None:
    answer, _ = await published(state(draft=draft("[a.md] [copy.md]"), evidence=[finding(also=("copy.md",))]))
    assert "[1] [2]" in answer.report and "2. **a.md**, copy.md, a copy" in answer.report


async def test_a_copy_is_among_the_sources_with_its_own_kind_and_place() -> None:
    row = finding("facts.sqlite#notes/1", kind="database", place="facts.sqlite", collector="database")
    rounds = [Collected(collector="database", sources=(place(),), findings=(row,))]
    answer, _ = await published(state(collected=rounds, evidence=[finding(also=(row.source_id,))]))
    source = next(source for source in answer.sources if source.id == row.source_id)
    assert (source.kind, source.path) == ("database", "facts.sqlite")


async def test_a_web_source_is_a_link_to_its_page() -> None:
    url = "https://example.org/a_(b)?c=d"
    page = finding(url, kind="web", place=url, title="Page", collector="web")
    answer, _ = await published(state(draft=draft(f"said [{url}]"), evidence=[page]))
    assert f"1. **Page**, <{url}>" in answer.report
    source = next(source for source in answer.sources if source.id == url)
    assert (source.url, source.path) == (url, None)


async def test_a_lost_file_makes_the_run_partial_and_is_named_with_its_cure() -> None:
    answer, run = await published(state(place(), lost()))
    assert answer.outcome == run.outcome == "partial"
    assert answer.stop_reason == run.stop_reason == "bad.pdf: it is no PDF: export it again"
    assert "- bad.pdf: it is no PDF: export it again" in answer.report
    assert [(each.id, each.status) for each in answer.sources] == [
        ("docs", "ok"),
        ("bad.pdf", "failed"),
        ("a.md", "ok"),
    ]


async def test_a_place_that_answered_in_part_is_told() -> None:
    answer, _ = await published(state(place("docs", "ok", "the first 20,000 files were read: name fewer")))
    assert answer.outcome == "partial" and answer.stop_reason == "docs: the first 20,000 files were read: name fewer"


async def test_a_file_without_text_is_told_and_does_not_count() -> None:
    answer, _ = await published(state(place(), lost("scan.pdf", "skipped")))
    assert answer.outcome == "complete" and answer.missing[0].optional and "scan.pdf" in answer.report


@pytest.mark.parametrize(
    ("min_ok", "outcome"), [(None, "partial"), (0, "complete"), (1, "complete"), (2, "partial"), (3, "partial")]
)
async def test_the_quorum_decides_how_many_sources_must_answer(min_ok: int | None, outcome: str) -> None:
    down = place("down", "timed out", "no answer in time")
    answer, run = await published(state(place(), down), Context(min_ok=min_ok))
    assert answer.outcome == run.outcome == outcome
    assert any(entry.what == "down" and entry.status == "timed out" for entry in answer.missing)


@pytest.mark.parametrize("need", ["down", "database", "nothing-of-the-kind"])
async def test_a_required_source_must_answer_whatever_the_quorum_says(need: str) -> None:
    down = place("down", "failed", "gone")
    answer, _ = await published(state(place(), down), Context(min_ok=0, required=(need,)))
    assert answer.outcome == "partial" and answer.stop_reason == f"{need}: a source that must answer did not"


@pytest.mark.parametrize("quorum", [Context(required=("database",)), Context(min_ok=2)])
async def test_no_number_of_lesser_losses_hides_that_the_quorum_was_missed(quorum: Context) -> None:
    scans = [lost(f"{number}.pdf", "skipped") for number in range(2 * MISSING_KEPT)]
    answer, run = await published(state(place(), *scans), quorum)
    assert answer.outcome == run.outcome == "partial" and " must" in answer.stop_reason


@pytest.mark.parametrize("need", ["docs", "file"])
async def test_a_required_source_may_be_named_by_place_or_kind(need: str) -> None:
    answer, _ = await published(state(), Context(required=(need,)))
    assert answer.outcome == "complete"


async def test_a_place_whose_collector_was_lost_is_missing_with_the_collectors_reason() -> None:
    gone = Missing(what="database", status="timed out", reason="no answer within 60 s", optional=True)
    answer, _ = await published(state(databases=["facts.sqlite"], run=Run(id="r", missing=(gone,))))
    assert answer.outcome == "partial" and answer.stop_reason == "facts.sqlite: no answer within 60 s"
    row = next(source for source in answer.sources if source.id == "facts.sqlite")
    assert (row.kind, row.status, row.path) == ("database", "timed out", "facts.sqlite")


async def test_a_source_that_answered_in_one_round_has_answered() -> None:
    rounds = [
        Collected(collector="web", sources=(place("https://s.test", "ok"),)),
        Collected(collector="web", sources=(place("https://s.test", "timed out"),)),
    ]
    answer, _ = await published(state(collected=rounds, docs=[], search="https://s.test"))
    assert answer.outcome == "complete"


async def test_without_any_source_the_run_is_partial_and_says_what_to_give() -> None:
    answer, _ = await published({"question": QUESTION, "run": Run(id="r")})
    assert answer.outcome == "partial" and "no source was named: give docs" in answer.stop_reason


async def test_the_third_rejection_is_told_with_its_reasons() -> None:
    ended = Run(id="r", missing=(Missing(what="review", status="stopped", reason="not settled after 3 of 3 rounds"),))
    answer, _ = await published(state(run=ended, review=Review(approved=False, reasons=("One side is missing.",))))
    assert answer.outcome == "partial" and "review: not settled after 3 of 3 rounds" in answer.report
    assert "## The reviewer did not approve this report\n\n- One side is missing." in answer.report


async def test_what_did_not_verify_is_listed() -> None:
    removed = ("quote that a.md does not contain: Lies", "statement without a verified quote: More lies") * 2
    answer, _ = await published(state(draft=draft(mode="model", removed=removed)))
    assert "## Taken out because it did not verify\n\n- quote that a.md does not contain (2 times)" in answer.report
    assert "lies" not in answer.report.lower()
    assert answer.mode == "model" and "A language model wrote" in answer.report


async def test_a_run_stopped_before_it_wrote_still_reports_what_was_found() -> None:
    stopped = state(run=Run(id="r", stop="stopped by you"))
    del stopped["draft"]
    answer, _ = await published(stopped)
    assert answer.outcome == "stopped" and "stopped by you" in answer.report
    assert answer.quotes and "The bridge was built in 1932." in answer.report


async def test_a_refused_run_has_an_answer_that_says_why_and_blames_no_source() -> None:
    answer, run = await published({"question": QUESTION, "docs": ["docs"], "run": Run(id="r", refusal="too long")})
    assert (answer.outcome, answer.stop_reason, answer.missing) == ("refused", "too long", ())
    assert "**Refused: too long.**" in answer.report and run.missing == ()


async def test_what_was_spent_is_told() -> None:
    spent = Spent(calls=3, input_tokens=1_000, output_tokens=200, dollars=0.0123, seconds=4.0)
    answer, _ = await published(state(run=Run(id="r", spent=spent)))
    assert (answer.spent.calls, answer.spent.dollars, answer.spent.seconds) == (3, 0.0123, 4.0)


async def test_two_runs_that_found_the_same_have_the_same_report() -> None:
    first, second = [
        (await published(state(run=Run(id=id, started=started, spent=Spent(calls=calls)))))[0]
        for id, started, calls in (("r1", 1.0, 2), ("r2", 2.0, 5))
    ]
    assert first.report == second.report and first.spent != second.spent


async def test_inside_a_guard_the_limits_are_those_of_the_policy() -> None:
    result = await graph.ainvoke(Question(question=QUESTION, docs=[str(ROOT / "examples" / "docs" / "plans")]))
    limits = result["answer"].limits
    assert (limits.seconds, limits.calls, limits.tokens, limits.dollars, limits.rounds) == (300, 40, 200_000, 1.0, 3)
    assert result["answer"].outcome == result["run"].outcome


async def test_sources_of_a_wrong_type_still_end_in_an_answer() -> None:
    result = await graph.ainvoke({"question": QUESTION, "docs": 5})  # type: ignore[arg-type]
    assert result["answer"].outcome == result["run"].outcome != "complete" and result["answer"].stop_reason


async def test_nothing_found_is_one_sentence(tmp_path: Path) -> None:
    (tmp_path / "a.txt").write_text("Roses flower in June.")
    answer = (await graph.ainvoke(Question(question="Who won in Patagonia?", docs=[str(tmp_path)])))["answer"]
    assert f"No evidence found in {tmp_path}" in answer.report and answer.quotes == ()
    assert len(answer.report.splitlines()) < 16


async def test_a_card_number_in_a_source_is_masked_and_its_quote_stays_in_place(
    tmp_path: Path,
) -> None:
    (tmp_path / "a.txt").write_text("The guest paid with card 4111-1111-1111-1111 at the harbour desk.")
    answer = (await graph.ainvoke(Question(question="How did the guest pay at the harbour?", docs=[str(tmp_path)])))[
        "answer"
    ]
    assert "4111" not in answer.model_dump_json()
    (quote,) = answer.quotes
    assert quote.text == "The guest paid with card [card removed]█████ at the harbour desk." and quote.end == 65


HOSTILE = [
    "<script>alert(1)</script>",
    "[x](javascript:alert(1))",
    "![x](http://evil.test/?q=secret)",
    "<http://evil.test>",
    "# Heading",
    "`code`",
    "a\nb\r\n- c",
    "[a.md]",
    "x" * 5_000,
]


@pytest.mark.parametrize(
    "words", ["\\<script>x</script>", "\\`x`", "\\[x](http://evil.test)", "<b>", "2*3*4", "[x](y)"]
)
async def test_quotes_and_their_places_show_as_they_stand(words: str) -> None:
    quote = Quote(text=words, source_id="a.md", start=0, end=len(words), location=words)
    answer, _ = await published(state(draft=draft(assembled([quote], ()), quotes=(quote,))))
    inlines = [token for token in MarkdownIt("commonmark").parse(answer.report) if token.type == "inline"]
    (line,) = [token.children or [] for token in inlines if token.content.startswith("“")]
    assert "".join(child.content for child in line) == f"“{words}” [1] ({words})"
    assert {child.type for child in line} <= {"text", "text_special"} and answer.quotes[0].text == words


@pytest.mark.parametrize("words", HOSTILE)
async def test_names_reasons_and_titles_cannot_mark_anything_up(words: str) -> None:
    bad = Source(id=words, kind="file", place=words, status="failed", reason=words)
    run = Run(id="r", missing=(Missing(what=words, reason=words),), stop=words)
    hostile = state(place(), bad, question=words, evidence=[finding(title=words)], run=run)
    report = (await published(hostile))[0].report
    inner = {child.type for token in MarkdownIt("commonmark").parse(report) for child in token.children or [token]}
    assert not inner & {"html_block", "html_inline", "image", "link_open", "code_inline", "fence"}
    assert max(map(len, report.splitlines())) < 1_500
    headings = [line for line in report.splitlines() if line.startswith("#")]
    assert headings[1:] == ["## Answer", "## What is missing", "## Sources"]


async def test_long_lists_are_cut_and_counted() -> None:
    many = [lost(f"{number}.pdf") for number in range(1_000)]
    answer, _ = await published(state(place(), *many))
    assert len(answer.sources) == SOURCES and {"docs", "a.md"} <= {source.id for source in answer.sources}
    assert answer.report.count("it is no PDF") <= SHOWN + 1
    assert "and 950 more" in answer.report


TEXT = st.text(max_size=30)
ODD = st.one_of(st.integers(), st.none(), st.lists(st.none() | st.lists(TEXT, max_size=1), max_size=2))
PIECES = st.fixed_dictionaries(
    {},
    optional={
        "question": st.one_of(TEXT, st.integers(), st.none()),
        "docs": st.one_of(st.lists(TEXT, max_size=3), ODD),
        "urls": ODD,
        "search": st.one_of(TEXT, ODD),
        "plan": st.none() | st.builds(Plan, question=TEXT, sub_questions=st.lists(TEXT, max_size=3).map(tuple)),
        "evidence": st.lists(st.builds(finding, TEXT, TEXT, title=TEXT), max_size=4),
        "collected": st.lists(st.just(Collected(collector="web", sources=(place(), lost()))), max_size=2),
        "conflicts": st.lists(
            st.builds(Conflict, subject=TEXT, values=st.tuples(st.builds(Value, value=TEXT, source_ids=st.just(())))),
            max_size=2,
        ),
        "draft": st.builds(Draft, mode=st.sampled_from(["extractive", "model"]), text=TEXT, removed=st.tuples(TEXT)),
        "review": st.builds(Review, approved=st.booleans(), reasons=st.tuples(TEXT)),
        "run": st.builds(Run, id=TEXT, stop=TEXT, refusal=TEXT, started=st.floats(0, 2e9)),
    },
)


@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(pieces=PIECES)
async def test_whatever_the_state_holds_there_is_an_answer(pieces: dict[str, Any]) -> None:
    answer, run = await published(pieces)
    assert (answer.outcome, answer.stop_reason) == (run.outcome, run.stop_reason)
    assert answer.report.startswith("# ") and Answer.model_validate_json(answer.model_dump_json())
