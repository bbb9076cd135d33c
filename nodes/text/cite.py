"""Citations: a model's statements are kept only where they rest on a source that it was given and on its very words."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field

from pydantic import BaseModel, Field

from nodes.text.columns import place_of, value_span
from state.evidence import Finding
from state.report import Claim, Quote

QUOTE_CHARACTERS = 1_000
LEAST_CHARACTERS = 3
STATEMENT_CHARACTERS = 1_000
STATEMENTS = 40
PER_STATEMENT = 8
SHOWN = 80
"""How much of a removed text its line in `removed` shows."""

_LOOKALIKES = str.maketrans("\u2018\u2019\u201c\u201d\u2010\u2011\u2012\u2013\u2014\u2212", "''\"\"------")
_BRACKETS = str.maketrans("[]<>`", "()()'")


class Cited(BaseModel):
    """A verbatim passage of one source."""

    source: str = Field(description="The source's id, exactly as it was given.")
    text: str = Field(description="Words copied from that source, unchanged and unshortened.")


class Statement(BaseModel):
    """One statement and what it rests on."""

    text: str = Field(description="One sentence, without citations.")
    sub_question: str = Field(description="The sub-question that it answers, copied; empty if none.")
    sources: list[str] = Field(description="Ids of the sources that say so.")
    quotes: list[Cited] = Field(description="At least one quote that shows it.")


Told = tuple[Claim, list[Quote]]
"""A statement with the verified quotes that show it."""


@dataclass
class Checked:
    """What is left of a model's statements.

    Attributes:
        told: Statements that rest on at least one verified quote, each with its quotes.
        removed: What was taken out, one line each.
        invented: Source ids that were cited and never given.
    """

    told: list[Told] = field(default_factory=list)
    removed: list[str] = field(default_factory=list)
    invented: list[str] = field(default_factory=list)

    @property
    def claims(self) -> tuple[Claim, ...]:
        """The statements that are left."""
        return tuple(claim for claim, _ in self.told)

    @property
    def quotes(self) -> tuple[Quote, ...]:
        """Their quotes, each once."""
        return tuple(dict.fromkeys(quote for _, quotes in self.told for quote in quotes))


def check(statements: Sequence[Statement], evidence: Sequence[Finding], sub_questions: Sequence[str] = ()) -> Checked:
    """Verify every citation and every quote; what does not verify is taken out and listed.

    Args:
        statements: What the model says; at most 40 are read.
        evidence: The findings that it was given.
        sub_questions: The plan's; a statement's sub-question that is none of them becomes empty.
    """
    by_source: dict[str, list[Finding]] = {}
    for finding in evidence:
        by_source.setdefault(finding.source_id, []).append(finding)
    named = {_squeezed(question).casefold(): question for question in sub_questions}
    checked = Checked()
    for statement in statements[:STATEMENTS]:
        _check_one(statement, by_source, named.get(_squeezed(statement.sub_question).casefold(), ""), checked)
    if len(statements) > STATEMENTS:
        checked.removed.append(f"{len(statements) - STATEMENTS} statements past the first {STATEMENTS}")
    return checked


def _check_one(statement: Statement, by_source: dict[str, list[Finding]], sub_question: str, into: Checked) -> None:
    text = plain_line(statement.text)
    sources = list(dict.fromkeys([*statement.sources, *(quote.source for quote in statement.quotes)]))
    _note_invented((source for source in sources if source not in by_source), text, into)
    quotes = _verified(statement.quotes[:PER_STATEMENT], by_source, sub_question, into)
    if not text or not quotes:
        into.removed.append(f"statement without a verified quote: {_short(text)}")
        return
    shown = tuple(dict.fromkeys(quote.source_id for quote in quotes))
    into.told.append((Claim(text=text, source_ids=shown, sub_question=sub_question), quotes))
    unshown = [source for source in sources if source in by_source and source not in shown]
    into.removed += [f"citation of {_short(source)} with no quote from it: {_short(text)}" for source in unshown]


def _note_invented(sources: Iterable[str], text: str, into: Checked) -> None:
    for source in sources:
        into.invented.append(plain_line(source)[:SHOWN])
        into.removed.append(f"citation of a source that does not exist, {plain_line(source)[:SHOWN]}: {_short(text)}")


def _verified(
    cited: Iterable[Cited], by_source: dict[str, list[Finding]], sub_question: str, into: Checked
) -> list[Quote]:
    quotes = []
    for each in cited:
        quote = quote_in(each.text, by_source.get(each.source, ()), sub_question)
        if quote is not None:
            quotes.append(quote)
        elif each.source in by_source:
            into.removed.append(f"quote that {_short(each.source)} does not contain: {_short(each.text)}")
    return quotes


def quote_in(text: str, findings: Iterable[Finding], sub_question: str = "") -> Quote | None:
    """The quote as it stands in one of the findings, or None when none of them contains it."""
    for finding in findings:
        span = locate(text, finding.text)
        if span is not None:
            start, end = value_span(finding, *span)
            return Quote(
                text=finding.text[start:end],
                source_id=finding.source_id,
                start=finding.start + start,
                end=finding.start + end,
                sub_question=sub_question,
                location=place_of(finding, *span),
            )
    return None


def locate(quote: str, text: str) -> tuple[int, int] | None:
    """Where `text` says `quote`: exactly, else with other white space, quotation marks or dashes.

    Returns:
        The span in `text`, whose words are then the quote's true form; None when it is not there, shorter than 3
        characters or longer than 1,000.
    """
    if len(quote) > QUOTE_CHARACTERS or len(quote.strip()) < LEAST_CHARACTERS:
        return None
    if (at := text.find(quote)) >= 0:
        return at, at + len(quote)
    wanted = _squeezed(quote).translate(_LOOKALIKES).strip("\"' ")
    squeezed, places = _squeezed_with_places(text)
    at = squeezed.find(wanted) if len(wanted) >= LEAST_CHARACTERS else -1
    return (places[at], places[at + len(wanted) - 1] + 1) if at >= 0 else None


def plain_line(text: str, limit: int = STATEMENT_CHARACTERS) -> str:
    """A model's words as one line that cannot cite, link or mark anything up by itself."""
    return _squeezed(text[: 2 * limit]).translate(_BRACKETS)[:limit]


def _squeezed(text: str) -> str:
    return " ".join(text.split())


def _squeezed_with_places(text: str) -> tuple[str, list[int]]:
    """The text with look-alikes made equal and runs of white space made one blank; and where each character stood."""
    characters: list[str] = []
    places: list[int] = []
    for place, character in enumerate(text.translate(_LOOKALIKES)):
        if character.isspace():
            if characters and characters[-1] == " ":
                continue
            character = " "
        characters.append(character)
        places.append(place)
    return "".join(characters), places


def _short(text: str) -> str:
    line = plain_line(text, SHOWN + 1)
    return line if len(line) <= SHOWN else line[:SHOWN] + "…"
