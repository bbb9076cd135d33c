"""The report's body as Markdown, rendered by code from claims and quotes; sources are cited as [source_id]."""

from collections.abc import Iterator, Sequence

from nodes.text.cite import Told
from state.evidence import Finding
from state.report import Claim, Conflict, Quote

ANSWER_QUOTES = 3
SUSPICIOUS = 10
"""Suspicious sources that are listed."""

PICKS = {
    "majority": "most sources say",
    "newest": "the newest source says",
    "trusted": "the most trusted source says",
    "ask": "a person chose",
}
"""How a rule's pick is told."""

_MARKUP = str.maketrans({mark: f"\\{mark}" for mark in "\\[]<`*"})


def written(told: Sequence[Told], sub_questions: Sequence[str]) -> str:
    """The body from a model's verified statements; the first one is the answer."""
    lines = ["## Answer", "", *(_claim(claim) for claim, _ in told[:1]), ""]
    for heading, asked in _sections(sub_questions):
        shown = [line for claim, quotes in told if claim.sub_question == asked for line in _shown(claim, quotes)]
        lines += [f"## {heading}", "", *shown, ""] if shown else []
    return "\n".join(lines).strip()


def assembled(quotes: Sequence[Quote], sub_questions: Sequence[str], conflicts: Sequence[Conflict] = ()) -> str:
    """The body from quotes alone: what sources say differently, the best passages, the others; nothing twice."""
    shown = {_line(value.quote) for conflict in conflicts for value in conflict.values}
    best = [quote for quote in quotes if _line(quote.text) not in shown][:ANSWER_QUOTES]
    lines = ["## Answer", ""]
    if conflicts:
        lines += ["Sources give different values:", "", *_groups(conflicts), ""]
    if best:
        lines += ["The passages that fit the question best:", "", *map(_quote, best), ""]
    shown |= {_line(quote.text) for quote in best}
    for heading, asked in _sections(sub_questions):
        more = [quote for quote in quotes if quote.sub_question == asked and _line(quote.text) not in shown]
        lines += [f"## {heading}", "", *map(_quote, more), ""] if more else []
    return "\n".join(lines).strip()


def joined(text: str, *more: str) -> str:
    """The body and what follows it, empty parts left out."""
    return "\n\n".join(filter(None, (text, *more))) + "\n"


def different_values(conflicts: Sequence[Conflict]) -> str:
    """The values that sources give for the same thing, all of them, each with its sources; empty without any."""
    return "\n".join(["## Sources give different values", "", *_groups(conflicts)]) if conflicts else ""


def suspicious(findings: Sequence[Finding]) -> str:
    """The sources with text that tries to give orders to its reader; empty without any."""
    places = {f.source_id: f"- [{f.source_id}] ({_verbatim(f.location or f.place)})" for f in findings if f.suspicious}
    if not places:
        return ""
    told = "Text in these sources tries to give orders to its reader. It was left out and nothing in it was obeyed."
    return "\n".join(["## Handle with care", "", told, "", *list(places.values())[:SUSPICIOUS]])


def unanswered(sub_questions: Sequence[str]) -> str:
    """The sub-questions with no evidence; empty without any."""
    if not sub_questions:
        return ""
    return "\n".join(["## No evidence for", "", *(f"- {_verbatim(question)}" for question in sub_questions)])


def escaped(text: str) -> str:
    """Words with the marks escaped that would cite, link or start markup, so that they show as they stand."""
    return text.translate(_MARKUP)


def _sections(sub_questions: Sequence[str]) -> Iterator[tuple[str, str]]:
    for question in sub_questions:
        yield _verbatim(question), question
    yield "Further findings", ""


def _claim(claim: Claim) -> str:
    return f"{claim.text} {_cited(claim.source_ids)}"


def _shown(claim: Claim, quotes: Sequence[Quote]) -> Iterator[str]:
    yield f"- {_claim(claim)}"
    yield from (f"  {_quote(quote)}" for quote in quotes)


def _quote(quote: Quote) -> str:
    place = f" ({_verbatim(quote.location)})" if quote.location else ""
    return f"- “{_verbatim(quote.text)}” [{quote.source_id}]{place}"


def _groups(conflicts: Sequence[Conflict]) -> Iterator[str]:
    for conflict in conflicts:
        yield f"- **{_verbatim(conflict.subject)}**{_judged(conflict)}"
        for value in conflict.values:
            said = f": “{_verbatim(value.quote)}”" if value.quote not in ("", value.value) else ""
            yield f"  - {_verbatim(value.value)} {_cited(value.source_ids)}{said}"


def _judged(conflict: Conflict) -> str:
    """What is known of a group beside its values: how certain the conflict is, the rule's pick, a model's note."""
    certain = "a conflict: alike but for the value" if conflict.kind == "conflict" else ""
    return "".join(f" — {part}" for part in (certain, _picked(conflict), conflict.note) if part)


def _picked(conflict: Conflict) -> str:
    if conflict.rule == "keep_all":
        return ""
    if not conflict.chosen:
        return f"the rule “{conflict.rule}” picks none of them"
    return f"{PICKS.get(conflict.rule, conflict.rule)}: {_verbatim(conflict.chosen)}"


def _verbatim(text: str) -> str:
    """Somebody's words on one line."""
    return escaped(_line(text))


def _cited(source_ids: Sequence[str]) -> str:
    return " ".join(f"[{source_id}]" for source_id in source_ids)


def _line(text: str) -> str:
    return " ".join(text.split())
