"""Policies: which of several values a stated rule picks. Every value stays in its group; without a clear pick none is.

keep_all picks nothing. majority: the value of more independent sources than any other. newest: the value of the source
with the latest date. trusted: the value of the first trusted source that gives one. A person's answer is `answered`.
"""

from collections.abc import Callable, Mapping, Sequence

from state.evidence import Finding
from state.report import Conflict, Value
from state.research import MergePolicy

Score = Callable[[Value], float | str]


def applied(
    policy: MergePolicy, conflicts: Sequence[Conflict], evidence: Sequence[Finding], trusted: Sequence[str] = ()
) -> list[Conflict]:
    """The groups with what the rule picks.

    Args:
        policy: Under "keep_all" and "ask" the groups stay as they are.
        conflicts: Groups of different values.
        evidence: The findings that they were taken from: for dates, and to know copies.
        trusted: Source ids or beginnings of them, best first.
    """
    scores: Mapping[str, Score] = {
        "majority": lambda value: _independent(value, evidence),
        "newest": lambda value: _latest(value, evidence),
        "trusted": lambda value: _trust(value, trusted),
    }
    score = scores.get(policy)
    if score is None:
        return list(conflicts)
    return [one.model_copy(update={"rule": policy, "chosen": _clear_best(one.values, score)}) for one in conflicts]


def answered(conflicts: Sequence[Conflict], answer: object) -> list[Conflict]:
    """The groups with what a person picked; whatever is none of a group's values picks nothing.

    Args:
        conflicts: The groups as they were asked about.
        answer: A list with one value a group, in order, or a mapping from a group's number to a value; "": none.
    """
    picks = answer if isinstance(answer, Mapping) else dict(enumerate(answer)) if isinstance(answer, list) else {}
    return [_picked(one, picks.get(number, picks.get(str(number)))) for number, one in enumerate(conflicts)]


def _picked(conflict: Conflict, pick: object) -> Conflict:
    known = any(value.value == pick for value in conflict.values)
    return conflict.model_copy(update={"rule": "ask", "chosen": pick if known else ""})


def _clear_best(values: Sequence[Value], score: Score) -> str:
    """The value with the highest score if it has one and no other has the same."""
    scores = [score(value) for value in values]
    best = max(scores)
    return values[scores.index(best)].value if best and scores.count(best) == 1 else ""


def _independent(value: Value, evidence: Sequence[Finding]) -> int:
    """Sources that give the value, copies of each other counted once."""
    copies = {copy for finding in evidence if finding.source_id in value.source_ids for copy in finding.also}
    return max(1, len(set(value.source_ids) - copies))


def _latest(value: Value, evidence: Sequence[Finding]) -> str:
    """The latest ISO date of a source that gives the value; empty when none has one."""
    return max((finding.date for finding in evidence if finding.source_id in value.source_ids), default="")


def _trust(value: Value, trusted: Sequence[str]) -> int:
    """The higher, the earlier among the trusted a source of the value stands; 0 for none."""
    places = [n for n, prefix in enumerate(trusted) for id in value.source_ids if prefix and id.startswith(prefix)]
    return len(trusted) - min(places, default=len(trusted))
