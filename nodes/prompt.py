"""What is handed to a model, as data (`guards.as_data`): questions, findings, and how much of them."""

from collections.abc import Iterable, Sequence

from langchain_core.messages import BaseMessage

from guards.as_data import WARNING, Record, as_data
from state.evidence import Finding

CHARACTERS_PER_TOKEN = 3
EVIDENCE_TOKENS = 12_000
PASSAGE_CHARACTERS = 2_500
QUESTION_CHARACTERS = 4_000

REPLY = "Reply with JSON in the given schema only."


def messages(instructions: str, *records: Record) -> list[BaseMessage]:
    """The pinned instructions and the data that they are about."""
    return as_data(f"{instructions}\n{REPLY}", *records)


def question(text: str) -> Record:
    """The question as a record."""
    return {"question": text[:QUESTION_CHARACTERS]}


def source(finding: Finding) -> Record:
    """A finding as a record; empty fields are left out."""
    record: dict[str, object] = {
        "source": finding.source_id,
        "title": finding.title[:200],
        "date": finding.date,
        "text": finding.text,
    }
    if finding.suspicious:
        record["warning"] = WARNING
    return {key: value for key, value in record.items() if value}


def within_budget(evidence: Sequence[Finding], tokens: int = EVIDENCE_TOKENS) -> list[Finding]:
    """The best findings that fit, each cut to a readable length; a cut finding keeps its offsets true."""
    left, kept = tokens * CHARACTERS_PER_TOKEN, []
    for finding in map(_cut, evidence):
        left -= len(finding.text) + len(finding.source_id) + 60
        if left < 0:
            break
        kept.append(finding)
    return kept


def _cut(finding: Finding) -> Finding:
    if len(finding.text) <= PASSAGE_CHARACTERS:
        return finding
    return finding.model_copy(
        update={"text": finding.text[:PASSAGE_CHARACTERS], "end": finding.start + PASSAGE_CHARACTERS}
    )


def clipped(texts: Iterable[str], count: int, characters: int) -> tuple[str, ...]:
    """A model's list made safe to keep: one line each, no repeats, no empties, at most `count`."""
    lines = (" ".join(text[: 2 * characters].split())[:characters] for text in texts)
    return tuple(dict.fromkeys(filter(None, lines)))[:count]
