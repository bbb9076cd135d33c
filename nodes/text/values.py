"""Values: what the sources say differently about the same thing, grouped with its sources; nothing is picked.

By rule, hence careful: a value counts when its sentence speaks of what the question asks for and its source of what the
question names, and the clearest statements go before the others. "Conflict" is said only of near-copies.
"""

import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property

from nodes.text.asked import YEAR, Asked, Wanted, read_question, related
from nodes.text.quotable import quotable
from nodes.text.tokens import read, stem, stems, words
from nodes.text.typed import Typed, typed
from state.evidence import Finding
from state.report import Conflict, Plan, Value

FINDINGS = 40
GROUPS = 5
VALUES = 12
COPIES = 60
"""Sentences that are compared with each other."""

SPOKEN_OF = 0.6
"""Part of what the question asks about that a sentence must speak of."""

ALIKE = 0.75
"""Part of their words that near-copies share, their values left out."""

FEWEST_WORDS = 4
"""Words of a near-copy; fewer are alike by chance."""

_RATES = frozenset(map(stem, "percent percentage rate share density per".split()))
_PER = re.compile(r"\s?(?:\w{1,20}\s)?(?:per|a|an|each)\s(?:\w{1,20}\s)?(?:km|mile|day|month|year|hour|week|square)")


@dataclass(frozen=True)
class Said:
    """One sentence that states values."""

    finding: Finding
    text: str
    values: tuple[Typed, ...]

    @cached_property
    def stems(self) -> frozenset[str]:
        """Its words."""
        return frozenset(read(self.text).counts)

    @cached_property
    def around(self) -> frozenset[str]:
        """Its words and those of its title."""
        return self.stems | read(self.finding.title).counts.keys()

    @cached_property
    def rest(self) -> frozenset[str]:
        """Its words without the values: what these are said of."""
        kept, last = [], 0
        for value in self.values:
            kept.append(self.text[last : value.start])
            last = max(last, value.end)
        return frozenset(stems(" ".join((*kept, self.text[last:]))))


@dataclass(frozen=True)
class Stated:
    """One value that one source gives; the stronger, the clearer it is that it answers."""

    said: Said
    value: Typed
    unit: str = ""
    strength: float = 0.0

    @property
    def text(self) -> str:
        """The value in the source's words."""
        return " ".join(self.said.text[self.value.start : self.value.end].split())


def group_values(evidence: Sequence[Finding], plan: Plan) -> list[Conflict]:
    """The groups of different values, those that were asked for first; at most 5, none when nothing differs.

    Args:
        evidence: Findings, best first; the first 40 are read.
        plan: Has the question.
    """
    asked = read_question(plan.question)
    said = list(_said(evidence[:FINDINGS]))
    groups = [(_subject(asked, wanted), _answers(asked, wanted, said)) for wanted in asked.wanted]
    groups += ((_pattern(copies[0]), copies) for copies in _copies(asked, said))
    conflicts = (_conflict(subject, stated) for subject, stated in groups)
    return _each_once(conflict for conflict in conflicts if conflict is not None)[:GROUPS]


def _said(evidence: Iterable[Finding]) -> Iterator[Said]:
    for finding in evidence:
        for start, end in quotable(finding):
            text = finding.text[start:end]
            if values := typed(text):
                yield Said(finding, text, values)


def _subject(asked: Asked, wanted: Wanted) -> str:
    if len(asked.wanted) == 1:
        return asked.text
    return f"{', '.join(asked.names)}: {wanted.words}" if asked.names else wanted.words


def _answers(asked: Asked, wanted: Wanted, said: Sequence[Said]) -> list[Stated]:
    """The values of one thing that was asked for: the clearest statements of which two differ, all of one unit."""
    stated = [each for one in said if (each := _stated(asked, wanted, one)) is not None]
    units = [each.unit for each in stated]
    common = max(dict.fromkeys(units), key=units.count, default="")
    same = [each for each in stated if each.unit == common]
    for strength in sorted({each.strength for each in same}, reverse=True):
        clear = _once_a_source(each for each in same if each.strength >= strength)
        if len(_by_value(clear)) > 1:
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
    spoken = _spoken(wanted.about, said)
    if spoken < SPOKEN_OF or not _about_what_is_named(asked, said):
        return None
    text = said.text.lower()
    places = [place for about in wanted.about for word in related(about) if (place := text.find(word)) >= 0] or [0]
    counted = [value for value in said.values if value.kind == wanted.kind and _unit_fits(wanted, value, said)]
    nearest = min(counted, key=lambda value: min(abs(value.start - place) for place in places), default=None)
    if nearest is None or not _counts(wanted, nearest, said):
        return None
    direct = sum(_named(name) <= said.around for name in asked.names)
    return Stated(said, nearest, _unit(wanted, nearest), round(spoken + direct, 3))


def _spoken(about: Sequence[str], said: Said) -> float:
    """The part of what is asked about that the sentence speaks of."""
    return sum(bool(related(word) & said.stems) for word in about) / max(1, len(about))


def _about_what_is_named(asked: Asked, said: Said) -> bool:
    """The source speaks of everything that the question names, in the years that it names."""
    dated = f"{said.text} {said.finding.title} {said.finding.date}"
    if not all(year in dated for year in asked.years):
        return False
    missing = [name for name in asked.names if not _named(name) <= said.around]
    if not missing:
        return True
    read_too = said.around | read(said.finding.text).counts.keys()
    return all(_named(name) <= read_too for name in missing)


def _named(name: str) -> frozenset[str]:
    return frozenset(stem(word) for word in words(name))


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


def _copies(asked: Asked, said: Sequence[Said]) -> Iterator[list[Stated]]:
    """Sentences of different sources that are alike but for one value, and speak of the question's matter."""
    close = [one for one in said if _matters(asked, one) and len(one.rest) >= FEWEST_WORDS][:COPIES]
    while close:
        first, *others = close
        alike = [(other, place) for other in others if (place := _differing(first, other)) >= 0]
        for place in sorted({place for _, place in alike}):
            yield [Stated(one, one.values[place]) for one in (first, *(other for other, at in alike if at == place))]
        taken = {id(other) for other, _ in alike}
        close = [other for other in others if id(other) not in taken]


def _matters(asked: Asked, said: Said) -> bool:
    """The sentence speaks of what is asked about, or states such a value, and of what is named."""
    names = frozenset[str]().union(*map(_named, asked.names))
    if not names <= said.around:
        return False
    if any(wanted.about and _spoken(wanted.about, said) >= SPOKEN_OF for wanted in asked.wanted):
        return True
    if not asked.wanted:
        return bool(asked.about) and _spoken(asked.about, said) >= SPOKEN_OF
    kinds = {value.kind for value in said.values} & {wanted.kind for wanted in asked.wanted if not wanted.unit}
    return bool(names and kinds) and names <= said.stems and said.text.endswith((".", "!", "?"))


def _differing(one: Said, other: Said) -> int:
    """Which one of their values differs in two sentences that are alike; -1 when they are not, or differ in more."""
    if one.finding.source_id == other.finding.source_id or len(one.values) != len(other.values):
        return -1
    if _alike(one, other) < ALIKE:
        return -1
    pairs = list(zip(one.values, other.values, strict=True))
    unequal = [place for place, (a, b) in enumerate(pairs) if a.kind != b.kind or not a.agrees(b)]
    same_kind = all(a.kind == b.kind and a.units[:1] == b.units[:1] for a, b in pairs)
    return unequal[0] if same_kind and len(unequal) == 1 else -1


def _alike(one: Said, other: Said) -> float:
    return len(one.rest & other.rest) / max(1, len(one.rest | other.rest))


def _pattern(one: Stated) -> str:
    """The sentence that the sources share, without the value."""
    text = one.said.text
    return " ".join(f"{text[: one.value.start]}…{text[one.value.end :]}".split())


def _conflict(subject: str, stated: Sequence[Stated]) -> Conflict | None:
    """The group, if its values differ and come from more than one source."""
    groups = _by_value(stated)
    if len(groups) < 2 or len({each.said.finding.source_id for each in stated}) < 2:
        return None
    firsts = [group[0] for group in groups[:VALUES]]
    certain = any(_contradict(one, other) for place, one in enumerate(firsts) for other in firsts[place + 1 :])
    values = tuple(map(_value, groups[:VALUES]))
    return Conflict(subject=subject, kind="conflict" if certain else "values differ", values=values)


def _contradict(one: Stated, other: Stated) -> bool:
    """The same sentence with another value, in sources that are not of different years."""
    years = [set(YEAR.findall(each.said.finding.title)) for each in (one, other)]
    return one.said.rest == other.said.rest and len(one.said.rest) >= FEWEST_WORDS and years[0] == years[1]


def _by_value(stated: Iterable[Stated]) -> list[list[Stated]]:
    groups: list[list[Stated]] = []
    for each in stated:
        agreeing = (group for group in groups if all(one.value.agrees(each.value) for one in group))
        same = next(agreeing, None)
        groups.append([each]) if same is None else same.append(each)
    return groups


def _value(same: Sequence[Stated]) -> Value:
    sources = dict.fromkeys(id for each in same for id in (each.said.finding.source_id, *each.said.finding.also))
    exact = max(same, key=lambda each: sum(part != 0 for part in each.value.key))
    return Value(value=exact.text, source_ids=tuple(sources), quote=exact.said.text)


def _each_once(conflicts: Iterable[Conflict]) -> list[Conflict]:
    """A group that shows nothing but what one before it shows is left out."""
    kept: list[Conflict] = []
    for conflict in conflicts:
        shown = {(value.value, id) for value in conflict.values for id in value.source_ids}
        if not any(shown <= {(v.value, id) for v in other.values for id in v.source_ids} for other in kept):
            kept.append(conflict)
    return kept
