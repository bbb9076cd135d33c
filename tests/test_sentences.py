"""Sentences: every span is exact, whatever the text; a line is cut where a reader would cut it."""

import sys

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from nodes.text.sentences import FIELD, LONGEST, sentences


def cut(text: str, rows: bool = False) -> list[str]:
    return [text[start:end] for start, end in sentences(text, rows)]


@pytest.mark.parametrize(
    "text",
    [
        "It cost 301.4 million crowns.",
        "Dr. Smith and Mrs. Jones met at St. Mary's.",
        "J. K. Rowling wrote it.",
        "Prices rose, e.g. Coal by 3.5 percent.",
        "It opened at 10.30 a.m. on the quay.",
        "It was founded in the U.S. Senate.",
        "See No. 5 of the series.",
        "He said “Stop!” and left.",
        "Wait... what was that?",
        "It opened on 2023-05-12.",
        "The version 1.2.3 of example.org/a.b is out.",
    ],
)
def test_these_are_one_sentence(text: str) -> None:
    assert cut(text) == [text]


@pytest.mark.parametrize(
    ("text", "parts"),
    [
        ("One. Two.", ["One.", "Two."]),
        ("It opened in 2018. The mayor came.", ["It opened in 2018.", "The mayor came."]),
        ("“Is it worth it?” Nobody knew.", ["“Is it worth it?”", "Nobody knew."]),
        ("They came from the U.S. The others stayed.", ["They came from the U.S.", "The others stayed."]),
        ("Sold by Acme Inc. It failed.", ["Sold by Acme Inc.", "It failed."]),
        ("Yes! No? Maybe.", ["Yes!", "No?", "Maybe."]),
        ("これは文です。次の文です。", ["これは文です。", "次の文です。"]),
    ],
)
def test_these_are_several(text: str, parts: list[str]) -> None:
    assert cut(text) == parts


def test_wrapped_prose_is_read_on() -> None:
    text = (
        "By the end of the year 6.9 km of track had been laid and the depot was handed over. Spending so far: 118\n"
        "million crowns. The works at Anchor Bridge stopped in November after high water. The opening, planned for\n"
        "autumn 2021, cannot be held.\n"
    )
    assert cut(text)[1] == "Spending so far: 118\nmillion crowns."
    assert cut(text)[-1] == "The opening, planned for\nautumn 2021, cannot be held."


def test_short_lines_stand_for_themselves() -> None:
    assert cut("COUNCIL OF MARENHOLM\nDecision 18/041 of 14 March\n\nThe council agrees.") == [
        "COUNCIL OF MARENHOLM",
        "Decision 18/041 of 14 March",
        "The council agrees.",
    ]


def test_list_items_lose_their_mark_and_keep_their_second_line() -> None:
    assert cut("Stops:\n- Old Quay, with a roof\n  of timber\n* Quarry\n2. Stadium") == [
        "Stops:",
        "Old Quay, with a roof\n  of timber",
        "Quarry",
        "Stadium",
    ]


def test_columns_of_a_row_are_whole() -> None:
    row = "Speed\nid: 3\ndate: 2024-06-05\nreport: A branch fell. Nobody was hurt."
    assert cut(row) == ["Speed", "id: 3", "date: 2024-06-05", "report: A branch fell. Nobody was hurt."]


def test_a_long_column_is_cut_into_sentences() -> None:
    long = "note: " + "It rained. " * (FIELD // 10)
    assert len(cut(long)) > 10


def test_rows_of_a_table_are_lines() -> None:
    text = "name,year,note\nA,1932,It opened. It closed.\nB,1933,\n"
    assert cut(text, rows=True) == ["name,year,note", "A,1932,It opened. It closed.", "B,1933,"]


def test_rows_of_a_markdown_table_are_lines() -> None:
    assert cut("| a | b |\n|---|---|\n| c. D | e |") == ["| a | b |", "| c. D | e |"]


def test_entries_of_a_diary_are_not_joined() -> None:
    text = "2020-06-02  The old deck of the bridge was lifted off in four pieces by crane\n2020-09-15  Soft silt.\n"
    assert len(cut(text)) == 2


def test_what_holds_no_word_is_no_sentence() -> None:
    assert cut("...\n\n---\n\n!!! \t ?") == []


def test_endless_text_is_cut_into_bounded_pieces() -> None:
    assert all(len(piece) <= LONGEST for piece in cut("word " * 5_000))
    assert all(len(piece) <= LONGEST for piece in cut("x" * 5_000))


PIECES = st.sampled_from(
    [
        ".",
        "!",
        "?",
        "…",
        "\n",
        "\n\n",
        " ",
        "\t",
        "- ",
        "# ",
        "| ",
        "a: ",
        "Dr. ",
        "1. ",
        "2020-01-02",
        "”",
        ")",
        "。",
        "\r",
    ]
)
TEXTS = st.lists(st.one_of(st.text(max_size=30), PIECES), max_size=60).map("".join)


@given(TEXTS, st.booleans())
@settings(deadline=None)
def test_every_span_is_exact_in_order_and_tidy(text: str, rows: bool) -> None:
    last = 0
    for start, end in sentences(text, rows):
        assert last <= start < end <= len(text)
        assert end - start <= LONGEST
        assert text[start:end] == text[start:end].strip()
        last = end


@given(TEXTS)
@settings(deadline=None)
def test_no_word_is_lost(text: str) -> None:
    """All letters and digits stand in a sentence, but for the numbers of list items."""
    inside = {place for start, end in sentences(text) for place in range(start, end)}
    assert all(place in inside for place, character in enumerate(text) if character.isalpha())


@pytest.mark.parametrize("text", [".", "…", "a.", '."', "\n", "- ", "1. ", "(", " ", "\t", "a: ", "Dr. ", "| ", "A.b "])
def test_hostile_text_takes_time_in_proportion(text: str) -> None:
    """Ten times the text takes nothing like a hundred times the steps: counted, not timed."""

    def steps(size: int) -> int:
        count = 0

        def trace(*_: object) -> None:
            nonlocal count
            count += 1

        hostile = text * (size // len(text))
        sys.setprofile(trace)
        try:
            sentences.__wrapped__(hostile)
        finally:
            sys.setprofile(None)
        return count

    assert steps(20_000) <= 25 * steps(2_000) + 1_000
