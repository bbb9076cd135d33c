"""Figures of the table, and the rows they are measured on."""

import gzip
import json
import os
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any, Literal


@dataclass(frozen=True)
class Figure:
    """One measured share or time, and what it must be."""

    bar: str
    what: str
    value: float
    limit: float | None
    must: Literal["at least", "at most"] = "at most"
    unit: Literal["share", "seconds", "count", "ratio"] = "share"

    @property
    def missed(self) -> bool:
        if self.limit is None:
            return False
        return self.value < self.limit if self.must == "at least" else self.value > self.limit

    @property
    def shown(self) -> str:
        return self._form(self.value)

    @property
    def allowed(self) -> str:
        if self.limit is None:
            return "no bar"
        return f"{'>=' if self.must == 'at least' else '<='} {self._form(self.limit)}"

    @property
    def verdict(self) -> str:
        return "" if self.limit is None else "MISSED" if self.missed else "pass"

    def _form(self, value: float) -> str:
        if self.unit == "share":
            return f"{value:.1%}"
        return (
            f"{value:.2f} s" if self.unit == "seconds" else f"{value:.2f} x" if self.unit == "ratio" else f"{value:.0f}"
        )


@cache
def rows(name: str) -> list[dict[str, Any]]:
    """The development rows of a kind; none where the data is not there."""
    folder = Path(os.environ.get("INTERLOCK_ROWS") or Path(__file__).parents[2].parent / "shared" / "data")
    file = folder / "security" / f"{name}.jsonl.gz"
    if not file.exists():
        return []
    with gzip.open(file, "rt", encoding="utf-8") as lines:
        return [json.loads(line) for line in lines]


def share(hits: "list[bool]") -> float:
    """The part of them that is true."""
    return sum(hits) / len(hits) if hits else 0.0
