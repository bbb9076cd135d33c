"""Answers: the values of what a question asks for, by rule.

Careful: a value counts when its sentence speaks of what is asked for and its source of what is named, and the clearest
statements go before the others.
"""

import re
from collections.abc import Iterable, Sequence

from nodes.text.asked import Asked, Wanted, related, stems_of
from nodes.text.said import SPOKEN_OF, Said, Stated, by_value, spoken_of
from nodes.text.tokens import read, stem
from nodes.text.typed import Typed

_RATES = frozenset(map(stem, "percent percentage rate share density per".split()))
_PER = re.compile(r"\s?(?:\w{1,20}\s)?(?:per|a|an|each)\s(?:\w{1,20}\s)?(?:km|mile|day|month|year|hour|week|square)")


def answers(asked: Asked, wanted: Wanted, said: Sequence[Said]) -> list[Stated]:
    """The values of one thing that was asked for: the clearest statements of which two differ, all of one unit."""
    stated = [each for one in said if (each := _stated(asked, wanted, one)) is not None]
    units = [each.unit for each in stated]
    common = max(dict.fromkeys(units), key=units.count, default="")
    same = [each for each in stated if each.unit == common]
    for strength in sorted({each.strength for each in same}, reverse=True):
        clear = _once_a_source(each for each in same if each.strength >= strength)
        if len(by_value(clear)) > 1:
            return clear
    return []


def _once_a_source(stated: Iterable[Stated]) -> list[Stated]:
    """The clearest statement of each source: what else it counts is seldom the same thing."""
    clearest: dict[str, Stated] = {}
    for each in stated:
        known = clearest.setdefault(each.said.finding.source_id, each)
        if each.strength > known.strength:
            clearest[each.said.finding.source_id] = each
    return list(clearest.values())


def _stated(asked: Asked, wanted: Wanted, said: Said) -> Stated | None:
    """The value of the wanted kind that stands nearest to the words that ask for it, if the sentence answers."""
    spoken = spoken_of(wanted.about, said)
    if spoken < SPOKEN_OF or not _about_what_isstems_of(asked, said):
        return None
    text = said.text.lower()
    places = [place for about in wanted.about for word in related(about) if (place := text.find(word)) >= 0] or [0]
    counted = [value for value in said.values if value.kind == wanted.kind and _unit_fits(wanted, value, said)]
    nearest = min(counted, key=lambda value: min(abs(value.start - place) for place in places), default=None)
    if nearest is None or not _counts(wanted, nearest, said):
        return None
    direct = sum(stems_of(name) <= said.around for name in asked.names)
    return Stated(said, nearest, _unit(wanted, nearest), round(spoken + direct, 3))


def _about_what_isstems_of(asked: Asked, said: Said) -> bool:
    """The source speaks of everything that the question names, in the years that it names."""
    dated = f"{said.text} {said.finding.title} {said.finding.date}"
    if not all(year in dated for year in asked.years):
        return False
    missing = [name for name in asked.names if not stems_of(name) <= said.around]
    if not missing:
        return True
    read_too = said.around | read(said.finding.text).counts.keys()
    return all(stems_of(name) <= read_too for name in missing)


def _unit_fits(wanted: Wanted, value: Typed, said: Said) -> bool:
    """The value counts what is to be counted, if the question says what."""
    return not wanted.unit or wanted.unit in value.units or ("percent" in value.units and wanted.unit in said.stems)


def _counts(wanted: Wanted, value: Typed, said: Said) -> bool:
    """An amount of the thing itself: no share of it and no rate, unless these are asked for."""
    if _RATES.intersection(wanted.about) or value.kind == "date":
        return True
    share = "percent" in value.units and not wanted.unit
    return not share and _PER.match(said.text, value.end) is None


def _unit(wanted: Wanted, value: Typed) -> str:
    """What a value counts; empty when it counts just what is asked for, or nothing is said."""
    if not value.units or any(related(value.units[0]) & related(word) for word in wanted.about):
        return ""
    return value.units[0]
