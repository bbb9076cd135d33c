"""Table: one row a measure, its claim in words, and whether the bar was met."""

from collections.abc import Sequence
from dataclasses import dataclass

HEADER = ("measure", "base", "ours", "ratio", "bar", "")


@dataclass(frozen=True)
class Row:
    """One measured claim.

    Attributes:
        claim: What is claimed, in words.
        base: What it is measured against, with its unit.
        ours: Our figure, with its unit.
        ratio: Ours over base.
        bar: The most that the ratio may be.
        note: How it was measured, one line.
    """

    claim: str
    base: str
    ours: str
    ratio: float
    bar: float
    note: str = ""

    @property
    def passed(self) -> bool:
        """Whether the bar was met."""
        return self.ratio <= self.bar

    def cells(self) -> tuple[str, ...]:
        """The row as text."""
        word = "pass" if self.passed else "**MISSED**"
        return self.claim, self.base, self.ours, f"{self.ratio:.3f}", f"≤ {self.bar:g}", word


def markdown(header: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """A Markdown table that is also readable as plain text."""
    lines = [list(header), *map(list, rows)]
    widths = [max(len(line[column]) for line in lines) for column in range(len(header))]
    text = ["| " + " | ".join(map(str.ljust, line, widths)) + " |" for line in lines]
    text.insert(1, "|" + "|".join("-" * (width + 2) for width in widths) + "|")
    return "\n".join(text)


def show(rows: Sequence[Row]) -> str:
    """The rows as one table, with the notes under it."""
    notes = dict.fromkeys(row.note for row in rows if row.note)
    return "\n".join([markdown(HEADER, [row.cells() for row in rows]), "", *(f"- {note}" for note in notes)])


def finish(rows: Sequence[Row]) -> int:
    """Print the table; the exit code is 1 when a bar was missed."""
    print(show(rows), flush=True)
    return int(not all(row.passed for row in rows))
