"""Typed values: the dates and amounts that a sentence states, each with its place and a form that can be compared."""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from functools import lru_cache
from typing import Literal

from nodes.text.common import COMMON
from nodes.text.tokens import stem

Kind = Literal["date", "number"]

TEXTS_KEPT = 4_096
"""Sentences that are read only once."""

UNIT_WORDS = 3
"""Words after a number that may say what it counts: `15 new trams`."""

_MONTHS = "January February March April May June July August September October November December".split()
_SHORT = {name[:3].lower(): number for number, name in enumerate(_MONTHS, start=1)}
_MONTH = "(?:" + "|".join(f"{name[:3]}(?:{name[3:]})?" for name in _MONTHS) + r")\b\.?"
_DATES = re.compile(
    rf"""\b(?:(?P<iso>\d{{4}}-\d\d-\d\d)
    |(?P<d1>\d{{1,2}})(?:st|nd|rd|th)?\s(?:of\s)?(?P<m1>{_MONTH}),?\s(?P<y1>\d{{4}})
    |(?P<m2>{_MONTH})\s(?P<d2>\d{{1,2}})(?:st|nd|rd|th)?\s?,?\s(?P<y2>\d{{4}})
    |(?P<m3>{_MONTH}),?\s(?P<y3>\d{{4}})
    )\b(?![,.]?\d)""",
    re.VERBOSE,
)
_NUMBERS = re.compile(
    r"""(?<![\w./:-])(?<!\d,)(?<!\[)(?<!\[\s)(?P<sign>[$£€¥]\s?)?
    (?P<number>\d{1,3}(?:,\d{3}){1,4}(?:\.\d{1,9})?|\d{1,15}(?:\.\d{1,9})?)
    (?:[\s-]?(?P<scale>thousand|million|billion|trillion|bn)\b)?
    (?:\s?(?P<percent>%|per\s?cent\b))?(?![\d/:]|[.,]\d)""",
    re.VERBOSE | re.IGNORECASE,
)
_YEAR = re.compile(r"1[5-9]\d\d|20\d\d")
_DIGIT = re.compile(r"\d")
_UNIT = re.compile(r"[\s,-]{1,2}([^\W\d_]{1,30}(?:/[a-z]{1,3})?[²³]?)")
_SCALES = {"thousand": 1e3, "million": 1e6, "billion": 1e9, "bn": 1e9, "trillion": 1e12}


@dataclass(frozen=True)
class Typed:
    """One value in a text.

    Attributes:
        kind: What it is.
        start: Where it begins.
        end: Where it ends, its unit included.
        key: A date's year, month and day, 0 for what is not said; an amount as one number.
        units: The words that may say what is counted, stemmed; of a date none.
    """

    kind: Kind
    start: int
    end: int
    key: tuple[float, ...]
    units: tuple[str, ...] = ()

    def agrees(self, other: "Typed") -> bool:
        """Whether both can be true: the same amount, or one date that is only said more exactly."""
        return all(a == b or (self.kind == "date" and 0 in (a, b)) for a, b in zip(self.key, other.key, strict=True))


@lru_cache(maxsize=TEXTS_KEPT)
def typed(text: str) -> tuple[Typed, ...]:
    """The dates and amounts of one sentence, in order; a number inside a date is no amount."""
    if not _DIGIT.search(text):
        return ()
    dates = [Typed("date", match.start(), match.end(), _day(match)) for match in _DATES.finditer(text)]
    taken = {place for date in dates for place in range(date.start, date.end)}
    numbers = [_amount(text, match) for match in _NUMBERS.finditer(text) if match.start("number") not in taken]
    return tuple(sorted((*dates, *numbers), key=lambda value: value.start))


def _day(match: "re.Match[str]") -> tuple[float, ...]:
    if match["iso"]:
        return tuple(float(part) for part in match["iso"].split("-"))
    year = match["y1"] or match["y2"] or match["y3"]
    month = match["m1"] or match["m2"] or match["m3"] or ""
    return float(year), float(_SHORT.get(month[:3].lower(), 0)), float(match["d1"] or match["d2"] or 0)


def _amount(text: str, match: "re.Match[str]") -> Typed:
    if _YEAR.fullmatch(match.group()):
        return Typed("date", match.start(), match.end(), (float(match.group()), 0.0, 0.0))
    number = float(match["number"].replace(",", "")) * _SCALES.get((match["scale"] or "").lower(), 1.0)
    if match["percent"]:
        return Typed("number", match.start(), match.end(), (number,), ("percent", *_following(text, match.end())[0]))
    units, end = _following(text, match.end())
    if match["sign"]:
        return Typed("number", match.start(), match.end(), (number,), (match["sign"].strip(), *units))
    return Typed("number", match.start(), end, (number,), units)


def _following(text: str, start: int) -> tuple[tuple[str, ...], int]:
    """The words after a number up to a common one, and where the first of them ends."""
    found: list[str] = []
    end = start
    for unit in _units(text, start):
        found.append(stem(unit.group(1).lower()))
        end = unit.end() if len(found) == 1 and "," not in unit.group() else end
    return tuple(found), end


def _units(text: str, start: int) -> Iterator["re.Match[str]"]:
    for _ in range(UNIT_WORDS):
        unit = _UNIT.match(text, start)
        if unit is None or unit.group(1).lower() in COMMON:
            return
        yield unit
        start = unit.end()
