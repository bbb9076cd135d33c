"""Values: what the sources say differently about the same thing, grouped with its sources; nothing is picked.

"Conflict" is said only of near-copies; of everything else only that the values differ.
"""

from collections.abc import Iterable, Sequence

from nodes.text.answers import answers
from nodes.text.asked import YEAR, Asked, Wanted, read_question, stems_of
from nodes.text.copies import FEWEST_WORDS, copies
from nodes.text.said import Stated, by_value, said_in
from nodes.text.tokens import read
from state.evidence import Finding
from state.report import Conflict, Plan, Value

FINDINGS = 40
GROUPS = 5
VALUES = 12
SUBJECT = 200
"""Characters of a group's subject."""


def group_values(evidence: Sequence[Finding], plan: Plan) -> list[Conflict]:
    """The groups of different values, those that were asked for first; at most 5, none when nothing differs.

    Args:
        evidence: Findings, best first; the first 40 are read.
        plan: Has the question.
    """
    asked = read_question(plan.question)
    said = list(said_in(found for found in evidence[:FINDINGS] if _speaks_of(found, asked.names)))
    groups = [(_subject(plan.question, asked, wanted), answers(asked, wanted, said)) for wanted in asked.wanted]
    groups += ((_pattern(alike[0]), alike) for alike in copies(asked, said))
    conflicts = (_conflict(subject, stated) for subject, stated in groups)
    return _each_once(conflict for conflict in conflicts if conflict is not None)[:GROUPS]


def _speaks_of(found: Finding, names: Iterable[str]) -> bool:
    """The passage or its title holds everything that is named: of another one no sentence is an answer."""
    stems = read(found.text).counts.keys() | read(found.title).counts.keys()
    return all(stems_of(name) <= stems for name in names)


def _subject(question: str, asked: Asked, wanted: Wanted) -> str:
    """The question itself when it asks for this alone, else what it names and what of that."""
    if asked.text == question and len(asked.wanted) == 1 and len(question) <= SUBJECT:
        return question
    return (f"{', '.join(asked.names)}: {wanted.words}" if asked.names else wanted.words)[:SUBJECT]


def _pattern(one: Stated) -> str:
    """The sentence that the sources share, without the value."""
    text = one.said.text
    return " ".join(f"{text[: one.value.start]}…{text[one.value.end :]}".split())


def _conflict(subject: str, stated: Sequence[Stated]) -> Conflict | None:
    """The group, if its values differ and come from more than one source."""
    groups = by_value(stated)
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


def _value(same: Sequence[Stated]) -> Value:
    sources = dict.fromkeys(id for each in same for id in (each.said.finding.source_id, *each.said.finding.also))
    exact = max(same, key=lambda each: sum(part != 0 for part in each.value.key))
    return Value(value=exact.text, source_ids=tuple(sources), quote=exact.said.quoted)


def _each_once(conflicts: Iterable[Conflict]) -> list[Conflict]:
    """A group that shows nothing but what one before it shows is left out."""
    kept: list[Conflict] = []
    for conflict in conflicts:
        shown = {(value.value, id) for value in conflict.values for id in value.source_ids}
        if not any(shown <= {(v.value, id) for v in other.values for id in v.source_ids} for other in kept):
            kept.append(conflict)
    return kept
