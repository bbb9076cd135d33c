"""The report's body as Markdown, rendered by code from claims and quotes; sources are cited as [source_id]."""

from collections.abc import Iterator, Sequence

from nodes.text.cite import Told
from state.report import Claim, Conflict, Quote

ANSWER_QUOTES = 3


def written(told: Sequence[Told], sub_questions: Sequence[str]) -> str:
    """The body from a model's verified statements; the first one is the answer."""
    lines = ["## Answer", "", *(_claim(claim) for claim, _ in told[:1]), ""]
    for heading, asked in _sections(sub_questions):
        shown = [line for claim, quotes in told if claim.sub_question == asked for line in _shown(claim, quotes)]
        lines += [f"## {heading}", "", *shown, ""] if shown else []
    return "\n".join(lines).strip()


def assembled(quotes: Sequence[Quote], sub_questions: Sequence[str]) -> str:
    """The body from quotes alone, best first."""
    lines = ["## Answer", "", "The passages that fit the question best:", ""]
    lines += [*(_quote(quote) for quote in quotes[:ANSWER_QUOTES]), ""]
    for heading, asked in _sections(sub_questions):
        shown = [_quote(quote) for quote in quotes if quote.sub_question == asked]
        lines += [f"## {heading}", "", *shown, ""] if shown else []
    return "\n".join(lines).strip()


def joined(text: str, conflicts: Sequence[Conflict], without: Sequence[str]) -> str:
    """The body with what sources disagree about and what has no evidence."""
    return "\n\n".join(filter(None, (text, different_values(conflicts), unanswered(without)))) + "\n"


def different_values(conflicts: Sequence[Conflict]) -> str:
    """The values that sources give for the same thing, all of them, each with its sources; empty without any."""
    if not conflicts:
        return ""
    lines = ["## Sources give different values", ""]
    for conflict in conflicts:
        lines += [f"- **{_line(conflict.subject)}**{_judged(conflict)}"]
        lines += [
            f"  - {_line(value.value)} {_cited(value.source_ids)}{_said(value.quote)}" for value in conflict.values
        ]
    return "\n".join(lines)


def unanswered(sub_questions: Sequence[str]) -> str:
    """The sub-questions with no evidence; empty without any."""
    if not sub_questions:
        return ""
    return "\n".join(["## No evidence for", "", *(f"- {_line(question)}" for question in sub_questions)])


def _sections(sub_questions: Sequence[str]) -> Iterator[tuple[str, str]]:
    for question in sub_questions:
        yield _line(question), question
    yield ("Further findings" if sub_questions else "Findings"), ""


def _claim(claim: Claim) -> str:
    return f"{claim.text} {_cited(claim.source_ids)}"


def _shown(claim: Claim, quotes: Sequence[Quote]) -> Iterator[str]:
    yield f"- {_claim(claim)}"
    yield from (f"  {_quote(quote)}" for quote in quotes)


def _quote(quote: Quote) -> str:
    place = f" ({quote.location})" if quote.location else ""
    return f"- “{_line(quote.text)}” [{quote.source_id}]{place}"


def _judged(conflict: Conflict) -> str:
    picked = f" — by the rule {conflict.rule}: {_line(conflict.chosen)}" if conflict.chosen else ""
    return picked + (f" — {conflict.note}" if conflict.note else "")


def _said(quote: str) -> str:
    return f": “{_line(quote)}”" if quote else ""


def _cited(source_ids: Sequence[str]) -> str:
    return " ".join(f"[{source_id}]" for source_id in source_ids)


def _line(text: str) -> str:
    return " ".join(text.split())
