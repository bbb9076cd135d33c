"""Copies become one; what states another value never does."""

import pytest
from evidence_kit import found
from hypothesis import given
from hypothesis import strategies as st

from nodes.text.duplicates import collapse, values

LONG = "The Halden bridge was opened to traffic after a long delay and carries the coastal road over the river mouth. "


def test_an_exact_copy_keeps_its_id_in_also() -> None:
    kept = collapse([found(LONG, "a.md"), found(LONG, "b.md"), found(LONG, "c.md")])
    assert [(one.source_id, one.also) for one in kept] == [("a.md", ("b.md", "c.md"))]


def test_a_copy_of_a_copy_hands_on_what_it_stood_for() -> None:
    kept = collapse([found(LONG, "a.md"), found(LONG, "b.md", also=("c.md", "a.md"))])
    assert kept[0].also == ("b.md", "c.md")


def test_a_near_copy_with_equal_values_is_one() -> None:
    near = LONG.replace("carries the coastal road", "carries a coastal road")
    assert len(collapse([found(LONG, "a.md"), found(near, "b.md")])) == 1


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("in 1932", "in 1933"),
        ("for 4.5 million", "for 45 million"),
        ("by Halden Works", "by Tarn Works"),
        ("and it is safe", "and it is not safe"),
        ("at -5 degrees", "at 5 degrees"),
        ("for $5", "for €5"),
        ("by 5%", "by 5"),
        ("with three lanes", "with four lanes"),
        ("where Ada beat Bo", "where Bo beat Ada"),
        ("and traffic rose", "and traffic fell"),
    ],
)
def test_passages_that_differ_in_one_value_are_both_kept(one: str, other: str) -> None:
    kept = collapse([found(f"{LONG}{one}", "a.md"), found(f"{LONG}{other}", "b.md")])
    assert [(finding.source_id, finding.also) for finding in kept] == [("a.md", ()), ("b.md", ())]


def test_different_texts_with_equal_values_are_both_kept() -> None:
    assert len(collapse([found("the dog sleeps all day", "a.md"), found("prices went up a lot", "b.md")])) == 2


def test_the_same_passage_of_one_source_is_no_copy_of_itself() -> None:
    assert collapse([found(LONG), found(LONG, start=500)])[0].also == ()


@given(st.lists(st.tuples(st.text(max_size=40), st.sampled_from("abcdef")), max_size=12))
def test_no_source_and_no_value_is_ever_lost(given_findings: list[tuple[str, str]]) -> None:
    findings = [found(text, source) for text, source in given_findings]
    kept = collapse(findings)
    assert {f.source_id for f in findings} == {s for f in kept for s in (f.source_id, *f.also)}
    assert {values(f.text) for f in findings} == {values(f.text) for f in kept}
    assert kept[:1] == [] or kept[0].source_id == findings[0].source_id
    assert collapse(kept) == kept
