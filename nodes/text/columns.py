"""Columns: a database row is read as `column: value`, a paragraph each; what is quoted of it is the value alone."""

import re

from state.evidence import Finding

LONGEST = 80
"""Characters of a value that is told with its column's name."""

_LABEL = re.compile(r"[^\s:][^:\n]{0,60}: (?=\S)")


def column_of(finding: Finding, start: int, end: int) -> str:
    """The column's name that a span of a database row opens with; empty when it is the row's own words alone."""
    if finding.kind != "database":
        return ""
    alone = {finding.text[max(0, start - 2) : start], finding.text[end : end + 2]} <= {"\n\n", ""}
    label = _LABEL.match(finding.text, start, end) if alone else None
    return label.group()[:-2] if label and end - label.end() <= LONGEST else ""


def value_span(finding: Finding, start: int, end: int) -> tuple[int, int]:
    """The span without its column's name."""
    column = column_of(finding, start, end)
    return (start + len(column) + 2, end) if column else (start, end)


def place_of(finding: Finding, start: int, end: int) -> str:
    """Where a span stands: the line that it begins on where lines are counted, else its passage's place and column."""
    unit, _, number = finding.location.partition(" ")
    if unit == "line" and number.isdigit():
        return f"line {int(number) + finding.text.count(chr(10), 0, start)}"
    column = column_of(finding, start, end)
    return f"{finding.location}, column {column}" if column else finding.location
