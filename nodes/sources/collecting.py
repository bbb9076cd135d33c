"""What every collector shares: ask each named place, turn what happens into one typed outcome.

To add a kind of source, write one file: a `Look` for one named place, and a node that calls `collect` with it. A look
that blocks goes through `in_thread`. A look that has documents and no search of its own has `nodes.sources.index`.
"""

import asyncio
import logging
import time
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

from typing_extensions import TypedDict

from guards import Permanent, detached
from guards.calls.circuits import watching
from guards.errors import CircuitOpen
from guards.running.attempt import current_attempt
from nodes.sources.text import Hit
from state.evidence import Collected, Finding, Kind, Source
from state.guarded import Status
from state.research import Asked

log = logging.getLogger("interlock")

PASSAGES_PER_QUERY = 20
QUERIES_PER_ROUND = 8
FINDINGS_PER_ROUND = 100
FINDINGS_WHEN_FOLLOWED = 40
"""Of the second round: its queries are names, and what a name leads to comes first."""

PLACES = 50
MARGIN_SECONDS = 0.5
"""Kept of the attempt's time to hand over what was found."""

WORST_FIRST: tuple[Status, ...] = ("failed", "timed out", "refused", "stopped", "skipped")


class Lost(Permanent):
    """A place that could not be read.

    Args:
        reason: One line: what is wrong and what to do.
        status: How it counts.
        theirs: For its circuit breaker: the place is down (True), or it did answer (False).
    """

    def __init__(self, reason: str, status: Status = "failed", theirs: bool | None = None) -> None:
        super().__init__(reason)
        self.status = status
        self.theirs = theirs


@dataclass
class Found:
    """What one place gave.

    Attributes:
        findings: Best first for each query.
        sources: What was lost on the way, or is worth a row of its own.
        note: What is missing though the place answered, in one line with the cure.
        status: How the place counts.
    """

    findings: list[Finding] = field(default_factory=list)
    sources: list[Source] = field(default_factory=list)
    note: str = ""
    status: Status = "ok"


Look = Callable[[str, Sequence[str]], Awaitable[Found]]
"""Search one named place with these queries; raises `Lost` when it cannot be read."""


class Collecting(TypedDict):
    """What a collector writes."""

    collected: list[Collected]


async def collect(collector: str, kind: Kind, places: Sequence[str], state: Asked, look: Look) -> Collecting:
    """Look at all named places side by side; one that fails costs only itself.

    Args:
        collector: The node's name.
        kind: What its sources are.
        places: What the user named; at most `PLACES`, the rest are refused by name.
        state: Has the queries, else the question; at most `QUERIES_PER_ROUND` are looked up.
        look: Searches one place.

    Returns:
        One `Collected` with at most `FINDINGS_PER_ROUND` findings: "ok" when a place answered, "skipped" when none was
        named, else the worst that happened. Each place has a row among its sources. A second round with nothing to look
        up asks nobody.
    """
    if state.get("followed") and not state.get("queries"):
        _tell(collector, "skipped")
        return {"collected": []}
    began, most = time.monotonic(), FINDINGS_WHEN_FOLLOWED if state.get("followed") else FINDINGS_PER_ROUND
    queries = list(dict.fromkeys(state.get("queries") or [state["question"]]))[:QUERIES_PER_ROUND]
    named = list(dict.fromkeys(places))
    if named:
        _tell(collector, "running", places=len(named))
    results = await asyncio.gather(*(_one(kind, place, queries, look) for place in named[:PLACES]))
    sources = [source for result in results for source in result.sources]
    sources += [
        _row(kind, place, "refused", f"over the limit of {PLACES} places: ask twice") for place in named[PLACES:]
    ]
    status, reason = _outcome([source for source in sources if source.named])
    collected = Collected(
        collector=collector,
        status=status,
        reason=reason,
        seconds=_since(began),
        sources=tuple(sources),
        findings=tuple(one.model_copy(update={"collector": collector}) for one in _best(results, most)),
    )
    _tell(collector, status, reason=reason, count=len(collected.findings), seconds=collected.seconds)
    return {"collected": [collected]}


def in_thread(look: Callable[[str, Sequence[str]], Found]) -> Look:
    """A look at a file or folder, which blocks, done in a thread and behind a circuit breaker.

    It asks `going_on` now and then and ends when the answer is no, so nobody needs to interrupt it, which could leave a
    lock held.
    """

    async def aside(place: str, queries: Sequence[str]) -> Found:
        async with watched(f"'{place}'"):
            with detached():
                return await asyncio.to_thread(look, place, queries)

    return aside


@asynccontextmanager
async def watched(what: str) -> AsyncIterator[None]:
    """A circuit breaker around one request to a place (guide: C5).

    Args:
        what: The place, such as "host 'example.org'"; it names the circuit.

    Raises:
        Lost: It failed too often just now and is not asked: status "refused".
    """
    try:
        async with watching(f"source {what}", what):
            yield
    except CircuitOpen as error:
        raise Lost(str(error), "refused") from None


def time_left() -> float:
    """Seconds that a source may still work, keeping a margin to hand over what it has; infinite outside a guard."""
    attempt = current_attempt.get()
    if attempt is None:
        return float("inf")
    return max(0.0, attempt.deadline - MARGIN_SECONDS - time.monotonic()) if attempt.open else 0.0


def going_on() -> bool:
    """Whether the work is still wanted: the attempt has time left and was not cancelled. True outside a guard."""
    return time_left() > 0


def share(queries: Sequence[str]) -> int:
    """Passages that each of these queries gets of a place: half of all of them are kept in a second round."""
    return min(PASSAGES_PER_QUERY, 2 * FINDINGS_WHEN_FOLLOWED // max(1, len(queries)))


def finding(kind: Kind, hit: Hit, source_id: str, place: str, query: str) -> Finding:
    """A hit as the next nodes take it."""
    return Finding(
        source_id=source_id,
        kind=kind,
        collector="",
        title=hit.title,
        text=hit.text,
        place=place,
        location=hit.location,
        start=hit.start,
        end=hit.start + len(hit.text),
        score=hit.score,
        about=hit.about,
        date=hit.date,
        query=query,
    )


async def _one(kind: Kind, place: str, queries: Sequence[str], look: Look) -> Found:
    """What one place gives, its own row first among the sources."""
    began = time.monotonic()
    try:
        found = await look(place, queries)
    except Lost as error:
        found = Found(status=error.status, note=str(error))
    except TimeoutError:
        found = Found(status="timed out", note="no answer in time: ask again, or name less at once")
    except OSError as error:
        why = error.strerror or type(error).__name__
        found = Found(status="failed", note=f"it cannot be opened ({why}): check its permissions")
    except Exception as error:  # a source's own fault costs this place, not the others
        log.warning("source lost", extra={"kind": kind, "error": type(error).__name__})
        found = Found(status="failed", note=f"it could not be read ({type(error).__name__}): check what it is")
    found.sources.insert(0, _row(kind, place, found.status, found.note, _since(began)))
    return found


def _row(kind: Kind, place: str, status: Status, reason: str, seconds: float = 0.0) -> Source:
    return Source(id=place, kind=kind, place=place, status=status, reason=reason, seconds=seconds, named=True)


def _since(began: float) -> float:
    return round(time.monotonic() - began, 3)


def _outcome(named: Sequence[Source]) -> tuple[Status, str]:
    if not named:
        return "skipped", "no such source was named"
    lost = [source for source in named if source.status != "ok"]
    if len(lost) < len(named):
        return "ok", ""
    worst = min(lost, key=lambda source: WORST_FIRST.index(source.status))
    return worst.status, worst.reason


def _best(results: Sequence[Found], most: int) -> list[Finding]:
    """Each passage once; the first of every place and query goes before the second of any (scores do not compare)."""
    ranks: Counter[tuple[int, str]] = Counter()
    ranked: dict[tuple[str, int], tuple[int, Finding]] = {}
    for number, result in enumerate(results):
        for found in result.findings:
            rank = ranks[number, found.query]
            ranks[number, found.query] += 1
            place = found.source_id, found.start
            if place not in ranked or rank < ranked[place][0]:
                ranked[place] = rank, found
    return [found for _, found in sorted(ranked.values(), key=lambda entry: entry[0])][:most]


def _tell(collector: str, status: str, **more: str | float) -> None:
    """Progress for whoever streams the run: that places are being asked ("running"), and what came of it."""
    from langgraph.config import get_stream_writer

    try:
        write = get_stream_writer()
    except RuntimeError:
        return
    write({"event": "source", "node": collector, "status": status, **more})
