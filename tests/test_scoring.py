"""One BM25 over a fixed set of candidates."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from nodes.text.scoring import QUERY_WORDS, Scorer, telling


def scores(query: str, *candidates: tuple[str, str]) -> list[float]:
    return Scorer.over(candidates).scores(query)


def test_a_rare_word_counts_more_than_a_frequent_one() -> None:
    rare, frequent = scores("bridge zinc", ("", "zinc lid"), ("", "bridge lid"), ("", "bridge pin"), ("", "bridge"))[:2]
    assert rare > frequent


def test_a_word_in_the_title_counts_more_than_one_in_the_text() -> None:
    title, text = scores("bridge", ("bridge", "of stone"), ("stone", "of bridge"))
    assert title > text


def test_more_of_the_questions_words_score_higher() -> None:
    both, one = scores("steel bridge", ("", "steel bridge"), ("", "steel steel"))
    assert both > one


def test_inflections_and_accents_match() -> None:
    assert all(scores("bridges Akinoshu", ("", "the bridge"), ("", "Akinoshū Kenji")))


@pytest.mark.parametrize("query", ["", "?!", "zebra"])
def test_what_shares_no_word_scores_nothing(query: str) -> None:
    assert scores(query, ("a bridge", "of stone")) == [0.0]


def test_no_candidates_have_no_scores() -> None:
    assert scores("bridge") == []


def test_common_words_are_asked_only_when_there_is_nothing_else() -> None:
    assert telling("who is the one") == ["who", "is", "the", "one"]
    assert telling("who is the smith") == ["smith"]


def test_the_words_of_a_query_are_bounded() -> None:
    assert len(telling(" ".join(f"w{n}" for n in range(1_000)))) == QUERY_WORDS


@given(st.text(max_size=80), st.lists(st.tuples(st.text(max_size=30), st.text(max_size=80)), max_size=8))
def test_every_candidate_gets_one_score_that_is_never_negative(query: str, candidates: list[tuple[str, str]]) -> None:
    found = scores(query, *candidates)
    assert len(found) == len(candidates)
    assert all(score >= 0 for score in found)
