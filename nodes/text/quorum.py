"""Quorum: what was asked for and did not come, and whether the run may call itself complete without it.

`Context.min_ok` says how many of the named places must answer; left out, all of them must, and every file in them must
be readable. `Context.required` names places, source ids or kinds that must answer in any case.
"""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from state.evidence import Collected, Kind, Source
from state.guarded import Missing, Run
from state.research import Context

COLLECTORS: Mapping[str, tuple[Kind, tuple[str, ...]]] = {
    "documents": ("file", ("docs",)),
    "database": ("database", ("databases",)),
    "web": ("web", ("urls", "search")),
}
"""By collector: what its sources are, and the keys of the question that name them."""

NO_SOURCE = Missing(
    what="sources", status="skipped", reason="no source was named: give docs, databases, urls or search"
)


def asked(state: Mapping[str, Any], run: Run) -> list[Source]:
    """Every source of the run, each once: the places that were named, what was lost in them, what was found there.

    A named place that no collector told of has its collector's reason.
    """
    rows = list(_told(state.get("collected") or ()))
    known = {source.place for source in rows if source.named}
    lost = [
        _untold(kind, place, collector, run)
        for collector, (kind, keys) in COLLECTORS.items()
        for place in _named(state, keys)
        if place not in known
    ]
    return [*lost, *rows]


def missing(sources: Sequence[Source], context: Context) -> list[Missing]:
    """What the run's record says of sources that did not answer, what counts first: the record keeps only so many."""
    roots = [source for source in sources if source.named]
    if not roots:
        return [NO_SOURCE]
    relaxed = context.min_ok is not None
    found = [_lost(source, relaxed) for source in sources if source.status != "ok" or source.reason]
    answered = sum(source.status == "ok" for source in roots)
    if answered < (context.min_ok or 0):
        found.append(_short(f"{answered} of {len(roots)} sources answered, {context.min_ok} must"))
    needs = [need for need in context.required if not any(_meets(source, need) for source in sources)]
    found += [_short("a source that must answer did not", need) for need in needs]
    return sorted(found, key=lambda entry: entry.optional)


def named(state: Mapping[str, Any]) -> list[str]:
    """The places that the question names, in all collectors' keys."""
    return [place for _, keys in COLLECTORS.values() for place in _named(state, keys)]


def _told(collected: Iterable[Collected]) -> Iterable[Source]:
    """The sources of all rounds, the named ones first; a source that answered once has answered."""
    rows: dict[str, Source] = {}
    for source in (source for outcome in collected for source in outcome.sources):
        before = rows.get(source.id)
        if before is None or (before.status != "ok" and source.status == "ok"):
            rows[source.id] = source
    return sorted(rows.values(), key=lambda source: not source.named)


def _named(state: Mapping[str, Any], keys: Sequence[str]) -> list[str]:
    """The places that were named; the input may be of any type, since nobody may have checked it yet."""
    values = [state.get(key) for key in keys]
    lists = [value if isinstance(value, (list, tuple)) else [value] for value in values]
    return list(dict.fromkeys(each for some in lists for each in some if isinstance(each, str) and each))


def _untold(kind: Kind, place: str, collector: str, run: Run) -> Source:
    entry = next((entry for entry in run.missing if entry.what == collector), None)
    status, reason = (entry.status, entry.reason) if entry else ("skipped", "the run ended before it was asked")
    return Source(id=place, kind=kind, place=place, status=status, reason=reason, named=True)


def _lost(source: Source, relaxed: bool) -> Missing:
    """A file without text is worth telling; any other loss counts, unless a quorum was stated."""
    optional = relaxed or (source.status == "skipped" and not source.named)
    return Missing(
        what=source.id, status=source.status, reason=source.reason, seconds=source.seconds, optional=optional
    )


def _short(reason: str, what: str = "quorum") -> Missing:
    return Missing(what=what, reason=reason)


def _meets(source: Source, need: str) -> bool:
    return source.status == "ok" and need in (source.id, source.place, source.kind)
