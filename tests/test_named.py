"""What a question names is read by rule, on any text, in bounded time."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from nodes.sources.plain import from_text
from nodes.text.named import NAMES, QUESTION_CHARACTERS, dates_in, names_in, read_plan


@pytest.mark.parametrize(
    ("text", "names"),
    [
        ("Did the Bank of England and The Verge agree?", ["Bank of England and The Verge"]),
        ("What did 'The Verge' say about Apple's deal?", ["The Verge", "Apple"]),
        ("Who directed Aldri annet enn Bråk?", ["Aldri", "Bråk"]),
        ("Was J. K. Rowling born in Yate?", ["J. K. Rowling", "Yate"]),
        ("Is it cold? The river froze.", []),
        ("Opened in Paris. He left.", ["Opened in Paris"]),
        ("no names here at all", []),
        ("", []),
    ],
)
def test_names_are_runs_of_capitalised_words(text: str, names: list[str]) -> None:
    assert list(names_in(text)) == names


@pytest.mark.parametrize(
    ("text", "dates"),
    [
        ("on October 7, 2023", ["2023-10-07"]),
        ("on Oct. 7th, 2023", ["2023-10-07"]),
        ("on 7 October 2023", ["2023-10-07"]),
        ("on the 1st of May 1999", ["1999-05-01"]),
        ("in October 2023", ["2023-10"]),
        ("from 2023-10-07 to 2023-11", ["2023-10-07", "2023-11"]),
        ("in Q3 2022 and 2023 Q1", ["2022 Q3", "2023 Q1"]),
        ("in the third quarter of 2022", ["2022 Q3"]),
        ("in 1932", ["1932"]),
        ("route 66, 12345 people, 0042", []),
    ],
)
def test_dates_are_written_as_iso_gives_them(text: str, dates: list[str]) -> None:
    assert list(dates_in(text)) == dates


def test_quoted_titles_and_files_are_named() -> None:
    plan = read_plan('What does "the secret garden" say, as told in reports/q1-2023.pdf?')
    assert "the secret garden" in plan.names
    assert plan.files == ("reports/q1-2023.pdf",)


def test_a_very_long_question_is_read_to_its_limit() -> None:
    plan = read_plan("x " * QUESTION_CHARACTERS + " Halden")
    assert plan.names == ()


@pytest.mark.parametrize("piece", ["A. ", "a.b/", '"', "Q1 ", "May 1 ", "O'", "2023-", "\u0130", "A of the "])
def test_a_hostile_text_costs_no_more_than_its_length(piece: str) -> None:
    plan = read_plan(piece * 100_000)
    assert max(len(plan.names), len(plan.dates), len(plan.files)) <= NAMES


@given(st.text(max_size=300))
def test_every_name_stands_in_the_text(text: str) -> None:
    assert all(name in text for name in names_in(text))
    read_plan(text)


@pytest.mark.parametrize(
    ("text", "title"),
    [
        ("Mia Strand\n\nMia Strand was a director.", "Mia Strand"),
        ("Mia Strand was a director.\nShe was born in Oslo.", "a"),
        ("source: The Verge\nIt was late.", "a"),
        ("Mia Strand", "a"),
        ("", "a"),
    ],
)
def test_the_first_line_of_a_text_is_its_title_if_it_is_one(text: str, title: str) -> None:
    assert from_text(text.encode(), "a.txt", "a").title == title


def test_a_tables_header_is_no_title() -> None:
    assert from_text(b"year,value\n1932,5", "a.csv", "a").title == "a"
