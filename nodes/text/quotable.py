"""Quotable: the sentences of a finding that a report may repeat; a passage that tries to give orders is none."""

from itertools import pairwise

from guards.clean import scan
from nodes.text.sentences import LONGEST, Span, sentences
from state.evidence import Finding

ROWS = (".csv", ".tsv")
HEADING = 120
"""Characters of a heading."""


def quotable(finding: Finding) -> list[Span]:
    """The spans of the sentences in `finding.text`, headings left out.

    Of a suspicious finding the paragraph that gives the orders is left out too; all of it when no single sentence does.
    """
    spans = sentences(finding.text, finding.source_id.endswith(ROWS))
    told = [span for span in spans if not finding.text.startswith("#", span[0])]
    if len(told) > 1 and finding.start == 0 and _is_heading(finding, *told[0]):
        told = told[1:]
    return _without_orders(finding.text, told) if finding.suspicious else told


def _is_heading(finding: Finding, start: int, end: int) -> bool:
    """A source's first line is a heading when it is its title or no sentence; the header of a table too."""
    text = finding.text
    title = text[start:end] == finding.title or text[end - 1].isalnum()
    return end - start <= HEADING and text[end : end + 1] == "\n" and title


def _without_orders(text: str, spans: list[Span]) -> list[Span]:
    """The sentences outside of every stretch from an order's line to the next empty one."""
    orders = [span for span in spans if scan(text[slice(*span)])]
    if not orders:
        return []
    taken = [(text.rfind("\n", 0, start) + 1, _paragraph_end(text, end)) for start, end in orders]
    return [span for span in spans if not any(first < span[1] and span[0] < last for first, last in taken)]


def _paragraph_end(text: str, start: int) -> int:
    end = text.find("\n\n", start)
    return len(text) if end < 0 else end


def with_items(text: str, spans: list[Span]) -> list[Span]:
    """The spans, those that end in a colon with the list that they introduce, as far as it fits in a quote."""
    return [(start, _items_end(text, spans, place)) for place, (start, _) in enumerate(spans)]


def _items_end(text: str, spans: list[Span], place: int) -> int:
    start, end = spans[place]
    if not text.endswith(":", start, end):
        return end
    for (_, before), (first, last) in pairwise(spans[place:]):
        if not text[before:first].strip() or last - start > LONGEST:
            break
        end = last
    return end
