"""Citations: what a model says stays only where its sources really say it."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from nodes.text.cite import QUOTE_CHARACTERS, STATEMENTS, Checked, Cited, Statement, check, locate, plain_line
from state.evidence import Finding

TEXT = "The bridge was built in 1932.\n  It cost  £5 million, the “Herald” said \u2013 twice the plan."


def finding(text: str = TEXT, source_id: str = "a.md", start: int = 100) -> Finding:
    return Finding(
        source_id=source_id,
        kind="file",
        collector="documents",
        text=text,
        place=source_id,
        location="line 3",
        start=start,
        end=start + len(text),
    )


def statement(
    text: str = "It was built in 1932.", *quotes: tuple[str, str], sources: tuple[str, ...] = ()
) -> Statement:
    cited = [Cited(source=source, text=quoted) for source, quoted in quotes]
    return Statement(text=text, sub_question="When?", sources=list(sources), quotes=cited)


def checked(*statements: Statement) -> Checked:
    return check(statements, [finding(), finding("Built in 1933.", "b.md", 0)], ["When?"])


def test_a_true_quote_keeps_its_exact_span() -> None:
    result = checked(statement("Built.", ("a.md", "built in 1932")))
    (quote,) = result.quotes
    assert (quote.text, quote.start, quote.end, quote.location) == ("built in 1932", 115, 128, "line 3")
    assert result.claims[0].source_ids == ("a.md",)
    assert result.claims[0].sub_question == "When?"
    assert not result.removed and not result.invented


@pytest.mark.parametrize(
    ("quoted", "found"),
    [
        ("1932. It cost £5 million", "1932.\n  It cost  £5 million"),
        ('the "Herald" said - twice', "the “Herald” said \u2013 twice"),
        ('"The bridge was built"', "The bridge was built"),
        ("  The bridge  ", "The bridge"),
    ],
)
def test_other_white_space_and_quotation_marks_map_to_the_true_words(quoted: str, found: str) -> None:
    span = locate(quoted, TEXT)
    assert span is not None
    assert TEXT[slice(*span)] == found


@pytest.mark.parametrize("quoted", ["built in 1933", "The Bridge", "", "  ", '""', "is", "x" * (QUOTE_CHARACTERS + 1)])
def test_changed_short_and_endless_quotes_are_not_found(quoted: str) -> None:
    assert locate(quoted, TEXT + "x" * 2_000) is None


def test_an_invented_source_is_taken_out_and_named() -> None:
    result = checked(statement("Built.", ("a.md", "built in 1932"), sources=("a.md", "ghost.md")))
    assert result.claims[0].source_ids == ("a.md",)
    assert result.invented == ["ghost.md"]
    assert "ghost.md" in result.removed[0]


def test_a_statement_on_nothing_but_inventions_goes() -> None:
    result = checked(statement("Built.", ("ghost.md", "built in 1932")))
    assert not result.claims and not result.quotes
    assert result.invented == ["ghost.md"]


def test_a_quote_from_another_source_does_not_count() -> None:
    result = checked(statement("Built.", ("b.md", "built in 1932")))
    assert not result.claims
    assert "quote that b.md does not contain" in result.removed[0]


def test_a_citation_without_a_quote_is_taken_out() -> None:
    result = checked(statement("Built.", ("a.md", "built in 1932"), sources=("a.md", "b.md")))
    assert result.claims[0].source_ids == ("a.md",)
    assert "b.md with no quote" in result.removed[0]


def test_every_source_of_a_disagreement_stays() -> None:
    result = checked(statement("They disagree.", ("a.md", "built in 1932"), ("b.md", "Built in 1933")))
    assert result.claims[0].source_ids == ("a.md", "b.md")


def test_a_statement_cannot_smuggle_in_citations_or_markup() -> None:
    result = checked(statement("Built [ghost.md].\n\n![x](http://evil) <b>", ("a.md", "built in 1932")))
    assert result.claims[0].text == "Built (ghost.md). !(x)(http://evil) (b)"


def test_an_unknown_sub_question_becomes_none() -> None:
    one = statement("Built.", ("a.md", "built in 1932")).model_copy(update={"sub_question": "Why on earth?"})
    assert checked(one).claims[0].sub_question == ""


def test_endless_statements_are_cut_off_and_counted() -> None:
    result = checked(*[statement(f"Built {n}.", ("a.md", "built in 1932")) for n in range(STATEMENTS + 7)])
    assert len(result.claims) == STATEMENTS
    assert result.removed == [f"7 statements past the first {STATEMENTS}"]


@given(st.text(alphabet='ab \n\t“"\u2013-é', max_size=60), st.text(alphabet='ab \n\t“"\u2013-é', max_size=12))
def test_whatever_is_located_is_part_of_the_text(text: str, quoted: str) -> None:
    span = locate(quoted, text)
    if span is not None:
        start, end = span
        assert 0 <= start < end <= len(text)
        squeezed = " ".join(text[start:end].split())
        assert squeezed and len(squeezed) <= len(quoted)


@given(st.text(max_size=300))
def test_a_plain_line_is_one_line_without_brackets(text: str) -> None:
    line = plain_line(text, 100)
    assert len(line) <= 100
    assert not set("[]<>`\n\r") & set(line)
