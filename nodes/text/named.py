"""Named: what a text names, by rule: people, places, titles and sources; dates; files.

A name is a run of capitalised words, with small linking words inside it ("Bank of England"), or what stands in double
quotation marks. Dates are written as in ISO, as much as is said (2023-10-07, 2023-10, 2023), quarters as 2023 Q1.
"""

import re
from collections.abc import Iterator

from nodes.text.common import COMMON
from nodes.text.tokens import LONGEST
from state.report import Plan

QUESTION_CHARACTERS = 4_000
NAMES = 20
NAME_CHARACTERS = 120

_TOKEN = re.compile(r"[^\W_]+(?:['’&.-][^\W_]+)*")
_QUOTED = re.compile(r'["“]([^"“”]{2,120})["”]')
_FILE = re.compile(
    r"(?<![\w./-])[\w-]{1,80}(?:[./][\w-]{1,80}){0,8}\.(?:pdf|md|txt|html?|csv|tsv|docx|sqlite|db)\b", re.I
)
_LINKING = frozenset("of the and de la le von van der du da di del den in for on at to".split())
_LINKING_MOST = 2
_MONTHS = "january february march april may june july august september october november december".split()
_MONTH = "|".join(f"{month[:3]}(?:{month[3:]})?" for month in _MONTHS)
_DATES = re.compile(
    rf"\b(?P<iso>\d{{4}}-\d{{2}}(?:-\d{{2}})?)\b"
    rf"|\b(?P<month>{_MONTH})\.? (?:(?P<day>\d{{1,2}})(?:st|nd|rd|th)?,? )?(?P<year>\d{{4}})\b"
    rf"|\b(?P<day2>\d{{1,2}})(?:st|nd|rd|th)? (?:of )?(?P<month2>{_MONTH})\.?,? (?P<year2>\d{{4}})\b"
    r"|\bq(?P<quarter>[1-4])(?: of|,)? (?P<year3>\d{4})\b"
    r"|\b(?P<year4>\d{4}),? q(?P<quarter2>[1-4])\b"
    r"|\b(?P<nth>first|second|third|fourth) quarter(?: of|,)? (?P<year5>\d{4})\b"
    r"|\b(?P<year6>1[5-9]\d\d|20\d\d)\b",
    re.IGNORECASE,
)
_NTH = {"first": "1", "second": "2", "third": "3", "fourth": "4"}


def read_plan(question: str) -> Plan:
    """The plan by rule: what the first 4,000 characters of the question name; at most 20 of each kind."""
    text = question[:QUESTION_CHARACTERS]
    quoted = (match.group(1).strip() for match in _QUOTED.finditer(text))
    return Plan(
        question=question,
        names=_each_once([*quoted, *names_in(text)]),
        dates=_each_once(dates_in(text)),
        files=_each_once(match.group() for match in _FILE.finditer(text)),
    )


def names_in(text: str) -> Iterator[str]:
    """The names in a text, in order, as they stand there."""
    text = text[:LONGEST]
    for run in _runs(text):
        while run and (run[0].group().islower() or _merely_opens(text, run[0])):
            run = run[1:]
        if run:
            name = text[run[0].start() : run[-1].end()].removesuffix("'s").removesuffix("’s")
            if 2 < len(name) <= NAME_CHARACTERS and name.lower() not in COMMON:
                yield name


def dates_in(text: str) -> Iterator[str]:
    """The dates in a text, in order: '2023-10-07', '2023-10', '2023', '2023 Q1'."""
    for match in _DATES.finditer(text[:LONGEST]):
        yield _date({name: value for name, value in match.groupdict().items() if value})


def _date(found: dict[str, str]) -> str:
    said = {name.rstrip("23456"): value.lower() for name, value in found.items()}
    if "iso" in said:
        return said["iso"]
    if "quarter" in said or "nth" in said:
        return f"{said['year']} Q{said.get('quarter') or _NTH[said['nth']]}"
    parts = [said["year"]]
    if "month" in said:
        parts.append(f"{[month[:3] for month in _MONTHS].index(said['month'][:3]) + 1:02d}")
    if "day" in said:
        parts.append(f"{int(said['day']):02d}")
    return "-".join(parts)


def _runs(text: str) -> Iterator[list["re.Match[str]"]]:
    """Capitalised words that stand together, with the linking words between them."""
    run: list[re.Match[str]] = []
    linking: list[re.Match[str]] = []
    for token in _TOKEN.finditer(text):
        if run and not _joined(text, (linking or run)[-1], token):
            yield run
            run, linking = [], []
        if token.group()[0].isupper() or (run and token.group().isdigit()):
            run, linking = [*run, *linking, token], []
        elif run and token.group() in _LINKING and len(linking) < _LINKING_MOST:
            linking.append(token)
        elif run:
            yield run
            run, linking = [], []
    if run:
        yield run


def _joined(text: str, before: "re.Match[str]", token: "re.Match[str]") -> bool:
    """Whether only a blank stands between two words, or the full stop of an abbreviation."""
    between = text[before.end() : token.start()]
    return between in (" ", "\u00a0") or (between == ". " and len(before.group()) <= 2)


def _merely_opens(text: str, token: "re.Match[str]") -> bool:
    """A common word that is capitalised because it opens a sentence."""
    before = text[max(0, token.start() - 3) : token.start()].rstrip()
    return token.group().lower() in COMMON and (not before or before[-1] in ".!?:;")


def _each_once(found: "Iterator[str] | list[str]") -> tuple[str, ...]:
    return tuple(dict.fromkeys(found))[:NAMES]
