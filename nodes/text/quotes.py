"""Quotes: the sentences of the evidence that answer best, verbatim.

A sentence is scored by its words and its title's (BM25 among all sentences) times its document's rank, more when it
leads its passage, names another document that was found, or holds a value of the kind asked for. What a chosen quote
says already, and another sentence of the same source, count for less. The figures were measured on development rows.
"""

from collections import Counter
from collections.abc import Container, Sequence
from dataclasses import dataclass

from nodes.text.asked import Asked, Wanted, read_question, related
from nodes.text.columns import place_of, value_span
from nodes.text.named import names_in
from nodes.text.quotable import quotable, with_items
from nodes.text.scoring import Scorer, telling
from nodes.text.tokens import read, words
from nodes.text.typed import typed
from state.evidence import Finding
from state.report import Conflict, Plan, Quote

QUOTES = 8
MOST = 12
BESIDE = 4
"""Quotes beside those of the different values."""

FINDINGS = 30
CANDIDATES = 80
"""Sentences that are weighed against each other."""

HALF_RANK = 4
"""The document of this rank counts half as much as the first."""

LEAD = 0.4
BRIDGE = 0.4
KIND = 0.5
LINK = 0.5
"""For a name that the best sentence brings up: where the answer may go on."""

SAME_WORDS = 0.3
"""What a sentence loses when its words have all been quoted already."""

SAME_SOURCE = 0.85
RELATED = 0.5
"""How much a word counts that only means what the question's means."""

FEWEST_WORDS = 3
"""Different words of a quote that holds no number."""

SHORTEST_TITLE = 4
"""Characters; a shorter title is a word like any other."""

LEAST_SHARE = 1 / 3
"""Part of a sub-question's words that a quote must say to be an answer to it."""


@dataclass(frozen=True)
class Candidate:
    """A sentence that may be quoted."""

    finding: Finding
    rank: int
    start: int
    end: int
    leads: bool

    @property
    def text(self) -> str:
        """Its exact text."""
        return self.finding.text[self.start : self.end]

    def repeats(self, other: "Candidate") -> bool:
        """Both stand on the same words."""
        return self.finding is other.finding and self.start < other.end and other.start < self.end

    @property
    def quoted(self) -> str:
        """What is quoted of it: of a database row the value alone."""
        start, end = value_span(self.finding, self.start, self.end)
        return self.finding.text[start:end]

    def quote(self, sub_question: str) -> Quote:
        """The sentence as a quote, at its place in the stored source."""
        first, (start, end) = self.finding.start, value_span(self.finding, self.start, self.end)
        return Quote(
            text=self.quoted,
            source_id=self.finding.source_id,
            start=first + start,
            end=first + end,
            sub_question=sub_question,
            location=place_of(self.finding, self.start, self.end),
        )


def pick_quotes(evidence: Sequence[Finding], plan: Plan, conflicts: Sequence[Conflict] = ()) -> list[Quote]:
    """At most 8 sentences, best first; up to 12 so that each side is quoted and, of at most 12 sources, each.

    Args:
        evidence: Findings, best first; the first 30 are read.
        plan: Its question is what the quotes are for; each is given to the sub-question that it fits best.
        conflicts: The groups of different values.
    """
    asked = read_question(plan.question)
    candidates = _candidates(evidence[:FINDINGS])
    if not candidates:
        return []
    scorer = Scorer.over([(one.finding.title, one.text) for one in candidates])
    sides = {(id, value.quote) for conflict in conflicts for value in conflict.values for id in value.source_ids}
    chosen = [candidates[place] for place in _chosen(candidates, _values(asked, scorer, candidates), sides)]
    return [one.quote(_sub_question(one, plan.sub_questions)) for one in chosen]


def _candidates(evidence: Sequence[Finding]) -> list[Candidate]:
    """Every sentence that may be quoted, in order."""
    return [
        Candidate(finding, rank, start, end, leads=place == 0)
        for rank, finding in enumerate(evidence)
        for place, (start, end) in enumerate(with_items(finding.text, quotable(finding)))
    ]


def _values(asked: Asked, scorer: Scorer, candidates: Sequence[Candidate]) -> list[float]:
    """How much each candidate is worth by itself; 0 for those that say nothing of the question."""
    also = {word for about in asked.about for word in related(about)} - set(asked.about)
    plain = scorer.scores(asked.text)
    near = scorer.scores(" ".join(also)) if also else [0.0] * len(plain)
    fits = [score + RELATED * more for score, more in zip(plain, near, strict=True)]
    best = max(fits) or 1.0
    first = candidates[fits.index(max(fits))]
    names = _new_names(asked, first)
    titles = _Titles(candidates)
    wanted = frozenset((*telling(asked.text), *also))
    worth = []
    for fit, one in zip(fits, candidates, strict=True):
        linked = one.finding is not first.finding and any(name in one.text for name in names)
        tells = linked or _tells(one, wanted)
        holds = tells and _holds(one.text, asked.wanted)
        worth.append(_value(fit / best + LINK * linked, one, holds, titles.others_in(one)) if tells else 0.0)
    return worth


def _new_names(asked: Asked, best: Candidate) -> set[str]:
    """The names in the best sentence that the question does not name."""
    known = set(words(asked.text))
    return {name for name in names_in(best.text) if not known.issuperset(words(name))}


def _tells(one: Candidate, wanted: frozenset[str]) -> bool:
    """The sentence itself speaks of what is asked, in more words than its title's, and is more than a name.

    A `label: value` of which the question says the value already tells nothing.
    """
    own = read(one.text).counts.keys()
    said = not wanted.isdisjoint(own) and not own <= read(one.finding.title).counts.keys()
    _, labelled, value = one.text.partition(": ")
    said = said and not (labelled and wanted.issuperset(read(value).counts))
    return said and (len(own) >= FEWEST_WORDS or any(map(str.isdigit, one.text)))


def _value(fit: float, one: Candidate, holds: bool, bridges: bool) -> float:
    extra = LEAD * one.leads + BRIDGE * bridges + KIND * holds
    return HALF_RANK / (HALF_RANK + one.rank) * (fit + KIND * holds) * (1 + extra)


def _holds(text: str, wanted: Sequence[Wanted]) -> bool:
    """The sentence speaks of what is asked for and holds such a value."""
    said = read(text).counts.keys()
    fitting = [each for each in wanted if any(not related(word).isdisjoint(said) for word in each.about)]
    values = typed(text) if fitting else ()
    return any(
        value.kind == each.kind and (not each.unit or each.unit in value.units) for value in values for each in fitting
    )


class _Titles:
    """The titles of the documents that were found, to see which sentences name another one."""

    def __init__(self, candidates: Sequence[Candidate]) -> None:
        titles = {one.finding.title.lower() for one in candidates}
        self.titles = [title for title in titles if len(title) >= SHORTEST_TITLE]

    def others_in(self, one: Candidate) -> bool:
        own, text = one.finding.title.lower(), one.text.lower()
        return any(title in text for title in self.titles if title != own)


def _chosen(candidates: Sequence[Candidate], values: Sequence[float], sides: Container[tuple[str, str]]) -> list[int]:
    """The places of the best candidates, each weighed against those that were chosen before it; the sides go first."""
    ranked = sorted(range(len(values)), key=lambda place: -values[place])
    said = [place for place in ranked if (candidates[place].finding.source_id, candidates[place].quoted) in sides][
        :MOST
    ]
    race = _Race(candidates, values, [*said, *(place for place in ranked[:CANDIDATES] if values[place] > 0)])
    for place in said:
        if place in race.left:
            race.take(place)
    while race.left and len(race.chosen) < min(MOST, max(QUOTES, len(said) + BESIDE)):
        race.take(max(race.left, key=race.worth))
    chosen = [*race.chosen, *_beside(candidates, race.chosen)]
    return [*chosen, *_unheard(candidates, values, chosen)]


def _unheard(candidates: Sequence[Candidate], values: Sequence[float], chosen: Sequence[int]) -> list[int]:
    """Of few sources each has its say, its best sentence or its first: to leave one out would be to pick silently."""
    by_source: dict[str, list[int]] = {}
    for place, one in enumerate(candidates):
        by_source.setdefault(one.finding.source_id, []).append(place)
    if not chosen or len(by_source) > MOST:
        return []
    heard = {candidates[place].finding.source_id for place in chosen}
    said = {candidates[place].text for place in chosen}
    silent = [places for source, places in by_source.items() if source not in heard]
    best = [max(places, key=lambda place: values[place]) for places in silent]
    return [place for place in best if candidates[place].text not in said][: MOST - len(chosen)]


def _beside(candidates: Sequence[Candidate], chosen: Sequence[int]) -> list[int]:
    """While there is room: the sentences after and before the chosen ones, which say what these are about."""
    found: list[int] = []
    for place, beside in [(place, place + step) for step in (1, -1) for place in chosen]:
        if len(chosen) + len(found) < QUOTES and _adds(candidates, place, beside, [*chosen, *found]):
            found.append(beside)
    return found


def _adds(candidates: Sequence[Candidate], place: int, beside: int, taken: Sequence[int]) -> bool:
    """The neighbour stands in the same passage and says something that is not quoted yet."""
    if not 0 <= beside < len(candidates) or candidates[beside].finding is not candidates[place].finding:
        return False
    one, quoted = candidates[beside], [candidates[other] for other in taken]
    new = not any(one.repeats(other) or one.text == other.text for other in quoted)
    return new and len(read(one.text).counts) > FEWEST_WORDS


class _Race:
    """Candidates in a race: what is taken lowers the worth of what says the same or stands in the same source."""

    def __init__(self, candidates: Sequence[Candidate], values: Sequence[float], places: Sequence[int]) -> None:
        self.candidates = candidates
        self.values = values
        self.left = {place: frozenset(read(candidates[place].text).counts) for place in places}
        self.repeated = dict.fromkeys(self.left, 0.0)
        self.sources: Counter[str] = Counter()
        self.chosen: list[int] = []

    def worth(self, place: int) -> float:
        again = self.sources[self.candidates[place].finding.source_id]
        return self.values[place] * (1 - SAME_WORDS * self.repeated[place]) * SAME_SOURCE**again

    def take(self, place: int) -> None:
        own = self.left.pop(place)
        self.chosen.append(place)
        self.sources[self.candidates[place].finding.source_id] += 1
        taken = self.candidates[place]
        for other in [o for o, said in self.left.items() if said == own or taken.repeats(self.candidates[o])]:
            del self.left[other]
        for other, said in self.left.items():
            shared = len(own & said) / max(1, min(len(own), len(said)))
            self.repeated[other] = max(self.repeated[other], shared)


def _sub_question(one: Candidate, sub_questions: Sequence[str]) -> str:
    """The sub-question that a quote fits best; empty when it says less than a third of any."""
    said = read(one.finding.title).counts.keys() | read(one.text).counts.keys()
    shares = {
        asked: len(said.intersection(wanted)) / len(wanted) for asked in sub_questions if (wanted := telling(asked))
    }
    best = max(shares, key=lambda asked: shares[asked], default="")
    return best if best and shares[best] >= LEAST_SHARE else ""
