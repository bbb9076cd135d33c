"""Report: the whole answer as Markdown. Citations by source id in the body become numbers of a list of sources."""

import re
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field

from nodes.text.body import escaped
from state.evidence import Finding
from state.guarded import Missing, Run
from state.report import Draft, Review

SHOWN = 50
"""Lines of one list; the rest is counted."""

TITLE_CHARACTERS = 300
NO_MODEL = "No language model was used: what follows are the sources' own words, found and put together by rules."
MODEL = "A language model wrote the statements. Every quote was checked to stand in its source word for word."
_URL = re.compile(r"https?://[^\s<>`]{1,2000}")
_BRACKET = re.compile(r"(?<!\\)\[")
ENDINGS = {
    "complete": "Complete: every source that was asked has answered.",
    "partial": "Partial",
    "refused": "Refused",
    "stopped": "Stopped before the end",
}


@dataclass(frozen=True)
class Parts:
    """What a report is made of.

    Attributes:
        question: As it was asked.
        body: The draft's text, with citations as [source_id].
        draft: None when nothing was written.
        run: The record as the run ends.
        findings: What was found, best first: titles, dates and places of the cited sources.
        review: The reviewer's last word, if there was one.
    """

    question: str
    body: str
    draft: Draft | None
    run: Run
    findings: Sequence[Finding] = ()
    review: Review | None = None


def markdown(parts: Parts) -> str:
    """The report, at most some ten thousand characters beside its body.

    It says nothing that differs between two runs that found the same: no time, no id, no cost. The answer has those.
    """
    references = _References(_citable(parts.findings))
    body = references.numbered(parts.body.strip())
    blocks = [
        f"# {_line(parts.question, TITLE_CHARACTERS) or 'No question'}",
        _ending(parts),
        body,
        _objections(parts.review),
        _list("What is missing", map(_missing, parts.run.missing), parts.run.missing_dropped),
        _list("Taken out because it did not verify", _removed(parts.draft)),
        references.listed(),
    ]
    return "\n\n".join(filter(None, blocks)) + "\n"


def _citable(findings: Sequence[Finding]) -> dict[str, Finding]:
    """The best finding of each source, and of each copy of it."""
    known: dict[str, Finding] = {}
    for finding in findings:
        known.setdefault(finding.source_id, finding)
    for finding in findings:
        for copy in finding.also:
            known.setdefault(copy, finding)
    return known


@dataclass
class _References:
    """The sources that the body cites, numbered in the order of their first mention."""

    findings: Mapping[str, Finding]
    numbers: dict[str, int] = field(default_factory=dict)

    def numbered(self, body: str) -> str:
        """The body with numbers in the place of ids; any other brackets stay as they are."""
        closed = [(id, f"{id}]") for id in sorted(self.findings, key=len, reverse=True)]
        parts, done = list[str](), 0
        for bracket in _BRACKET.finditer(body):  # a pattern of the ids would stay in the cache of `re` for good
            start = bracket.end()
            cited = next((id for id, text in closed if body.startswith(text, start)), None)
            if cited is not None and start > done:
                parts.append(f"{body[done:start]}{self._number(cited)}")
                done = start + len(cited)
        return "".join((*parts, body[done:]))

    def listed(self) -> str:
        """The list of sources; empty when nothing is cited."""
        lines = [f"{number}. {self._entry(id)}" for id, number in self.numbers.items()]
        return "\n".join(["## Sources", "", *lines]) if lines else ""

    def _number(self, id: str) -> int:
        return self.numbers.setdefault(id, len(self.numbers) + 1)

    def _entry(self, id: str) -> str:
        finding = self.findings[id]
        title, place = _line(finding.title, 200), _place(finding, id)
        named = f"**{title}**, {place}" if title and title != place else place
        copy = id != finding.source_id
        return f"{named}{f', {finding.date}' if finding.date else ''}{', a copy' if copy else ''}"


def _place(finding: Finding, id: str) -> str:
    """Where the source is, as a link where that is a web page."""
    return f"<{id}>" if finding.kind == "web" and _URL.fullmatch(id[:2_000]) else _line(id, 500)


def _ending(parts: Parts) -> str:
    """How the run ended and who wrote this, first of all."""
    reason = _line(parts.run.stop_reason, 500)
    ended = f"{ENDINGS[parts.run.outcome]}{f': {reason}' if reason else ''}"
    words = "" if parts.draft is None else NO_MODEL if parts.draft.mode == "extractive" else MODEL
    return "\n".join(f"> {line}" for line in filter(None, (f"**{ended.rstrip('.')}.**", words)))


def _objections(review: Review | None) -> str:
    if review is None or review.approved:
        return ""
    return _list("The reviewer did not approve this report", (_line(reason, 300) for reason in review.reasons))


def _missing(entry: Missing) -> str:
    return f"{_line(entry.what, 300)}: {_line(entry.reason or entry.status, 300)}"


def _list(heading: str, lines: Iterable[str], more: int = 0) -> str:
    kept = list(dict.fromkeys(lines))
    more += len(kept) - len(kept[:SHOWN])
    items = [f"- {line}" for line in kept[:SHOWN]] + ([f"- and {more} more"] if more else [])
    return "\n".join([f"## {heading}", "", *items]) if items else ""


def _removed(draft: Draft | None) -> Iterator[str]:
    """What kinds of things were taken out, and how many of each; not their words, which nothing vouches for."""
    kinds = Counter(line.partition(": ")[0] for line in (draft.removed if draft else ()))
    return (f"{_line(kind, 300)}{f' ({times} times)' if times > 1 else ''}" for kind, times in kinds.items())


def _line(text: str, longest: int) -> str:
    """One line of somebody's words that marks nothing up."""
    words = " ".join(text[: 2 * longest].split())
    return escaped(words if len(words) <= longest else f"{words[: longest - 1]}…")
