"""What every collector shares: ask each named place, turn what happens into one typed outcome.

To add a kind of source, write one file: a `Look` for one named place, and a node that calls `collect` with it.
"""

import asyncio
import time
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, field

from typing_extensions import TypedDict

from guards import Interlock, Permanent, remaining
from guards.clean import scan
from state.evidence import Collected, Finding, Kind, Source
from state.guarded import Status

PASSAGES_PER_QUERY = 20
QUERIES_PER_ROUND = 8
FINDINGS_PER_ROUND = 100
PLACES = 50
MARGIN_SECONDS = 0.5
"""Kept of the attempt's time to hand over what was found."""

WORST_FIRST: tuple[Status, ...] = ("failed", "timed out", "refused", "stopped", "skipped")


class Lost(Permanent):
    """A place that could not be read.

    Args:
        reason: One line: what is wrong and what to do.
        status: How it counts.
    """

    def __init__(self, reason: str, status: Status = "failed") -> None:
        super().__init__(reason)
        self.status = status


@dataclass
class Found:
    """What one place gave: its findings, and the sources that were read, named or lost on the way."""

    findings: list[Finding] = field(default_factory=list)
    sources: list[Source] = field(default_factory=list)


Look = Callable[[str, Sequence[str]], Awaitable[Found]]
"""Search one named place with these queries; raises `Lost` when it cannot be read."""


class Collecting(TypedDict):
    """What a collector writes."""

    collected: list[Collected]


async def collect(collector: str, kind: Kind, places: Sequence[str], queries: Sequence[str], look: Look) -> Collecting:
    """Look at all named places side by side; one that fails costs only itself.

    Args:
        collector: The node's name.
        kind: What its sources are.
        places: What the user named; at most `PLACES`, the rest are refused by name.
        queries: What to look for; at most `QUERIES_PER_ROUND`.
        look: Searches one place.

    Returns:
        One `Collected`: "ok" when a place answered, "skipped" when none was named, else the worst that happened.
    """
    began = time.monotonic()
    wanted = list(dict.fromkeys(queries))[:QUERIES_PER_ROUND]
    named = list(dict.fromkeys(places))
    results = await asyncio.gather(*(_one(kind, place, wanted, look) for place in named[:PLACES]))
    sources = [source for result in results for source in result.sources]
    sources += [_root(kind, place, "refused", f"over the limit of {PLACES} places a run") for place in named[PLACES:]]
    findings = [_marked(finding, collector) for result in results for finding in result.findings]
    status, reason = _outcome([source for source in sources if source.named], bool(named))
    collected = Collected(
        collector=collector,
        status=status,
        reason=reason,
        seconds=round(time.monotonic() - began, 3),
        sources=tuple(sources),
        findings=tuple(sorted(findings, key=lambda finding: -finding.score)[:FINDINGS_PER_ROUND]),
    )
    _tell(collected)
    return {"collected": [collected]}


def time_left() -> float:
    """Seconds that a source may still work, keeping a margin to hand over what it has."""
    return max(0.0, remaining() - MARGIN_SECONDS)


async def _one(kind: Kind, place: str, queries: Sequence[str], look: Look) -> Found:
    """One place, with its own row among the sources."""
    began = time.monotonic()
    try:
        found = await look(place, queries)
        status, reason = "ok", ""
    except Lost as error:
        found, status, reason = Found(), error.status, str(error)
    except TimeoutError:
        found, status, reason = Found(), "timed out", "no answer in time"
    except (Interlock, OSError, ValueError) as error:
        found, status, reason = Found(), "failed", f"could not be read ({type(error).__name__})"
    if not any(source.named and source.place == place for source in found.sources):
        found.sources.insert(0, _root(kind, place, status, reason, time.monotonic() - began))  # type: ignore[arg-type]
    return found


def _root(kind: Kind, place: str, status: Status, reason: str, seconds: float = 0.0) -> Source:
    return Source(id=place, kind=kind, place=place, status=status, reason=reason, seconds=round(seconds, 3), named=True)


def _outcome(named: Sequence[Source], any_named: bool) -> tuple[Status, str]:
    if not any_named:
        return "skipped", "no such source was named"
    lost = [source for source in named if source.status != "ok"]
    if len(lost) < len(named):
        return "ok", ""
    worst = min(lost, key=lambda source: WORST_FIRST.index(source.status))
    return worst.status, worst.reason


def _marked(finding: Finding, collector: str) -> Finding:
    """A finding whose text tries to give orders is marked; it stays data."""
    rule = scan(finding.text) or ""
    return finding.model_copy(update={"collector": collector, "suspicious": rule})


def _tell(collected: Collected) -> None:
    """Progress for whoever streams the run."""
    from langgraph.config import get_stream_writer

    try:
        write = get_stream_writer()
    except RuntimeError:
        return
    write(
        {
            "event": "source",
            "node": collected.collector,
            "status": collected.status,
            "reason": collected.reason,
            "count": len(collected.findings),
            "seconds": collected.seconds,
        }
    )
