"""Figures: how good answers are, from their JSON and what the question set calls right."""

from collections.abc import Sequence
from dataclasses import dataclass
from fnmatch import fnmatch
from typing import Any

from bench.places import Places
from bench.table import markdown

Answered = Sequence[tuple[dict[str, Any], dict[str, Any], Places]]
QUOTES = 8


@dataclass(frozen=True)
class Figure:
    """One measured figure and the bar it is held to; `at_most`: lower is better."""

    name: str
    value: float
    bar: float | None
    at_most: bool = False

    @property
    def passed(self) -> bool:
        """Whether the bar is met; without a bar it is."""
        if self.bar is None:
            return True
        return self.value <= self.bar + 1e-9 if self.at_most else self.value >= self.bar - 1e-9

    def cells(self) -> tuple[str, ...]:
        """The row as text."""
        bar = "" if self.bar is None else f"{'≤' if self.at_most else '≥'} {self.bar:g}"
        return self.name, f"{self.value:.3f}", bar, "" if not bar else "pass" if self.passed else "**MISSED**"


def show(figures: Sequence[Figure]) -> str:
    """The figures as one table."""
    return markdown(("metric", "ours", "bar", ""), [figure.cells() for figure in figures])


def ranked(answer: dict[str, Any], places: Places) -> list[str]:
    """The corpus ids of the ranked passages, each once; what the corpus does not know keeps its source id."""
    return list(dict.fromkeys(places.ids.get(p["source_id"], p["source_id"]) for p in answer["passages"]))


def recall(found: Answered, most: int) -> float:
    """The mean part of the gold documents among the first `most`."""
    return _mean([_part(row["gold"], ranked(answer, places)[:most]) for row, answer, places in found])


def all_within(found: Answered, most: int) -> float:
    """How often all gold documents are among the first `most`."""
    return _mean([float(set(row["gold"]) <= set(ranked(answer, places)[:most])) for row, answer, places in found])


def sources_found(found: Answered, names: Sequence[str], most: int) -> float:
    """The mean part of the files that a question's pattern means, among the first `most`."""
    return _mean(
        [
            _part([name for name in names if fnmatch(name, row["source_docs"])], ranked(answer, places)[:most])
            for row, answer, places in found
        ]
    )


def exact_quotes(found: Answered) -> float:
    """The part of the quotes that stand in their source, at their offsets where the source is a file."""
    checks = [_exact(quote, places) for _, answer, places in found for quote in answer["quotes"]]
    return _mean(checks) if checks else 0.0


def covered(found: Answered) -> tuple[float, float]:
    """(citation precision, evidence recall) of the first 8 quotes against the gold sentences."""
    precisions, recalls = [], []
    for row, answer, _ in found:
        quotes, gold = [q["text"] for q in answer["quotes"][:QUOTES]], row["gold_sentences"]
        precisions.append(_mean([float(any(_alike(quote, each) for each in gold)) for quote in quotes]))
        recalls.append(_mean([float(any(_alike(quote, each) for quote in quotes)) for each in gold]))
    return _mean(precisions), _mean(recalls)


def both_sides(found: Answered) -> tuple[float, float]:
    """(at least two of the answers that the documents give are shown, exactly one is)."""
    shown = [_sides(row, answer) for row, answer, _ in found]
    return _mean([float(n > 1) for n in shown]), _mean([float(n == 1) for n in shown])


def _sides(row: dict[str, Any], answer: dict[str, Any]) -> int:
    values = [value["value"] + " " + value["quote"] for each in answer["conflicts"] for value in each["values"]]
    said = _plain(" ".join([*(quote["text"] for quote in answer["quotes"]), *values]))
    answers = {_plain(each["answer"]) for each in row["documents"] if each["type"] != "noise"}
    return sum(each in said for each in answers)


def _exact(quote: dict[str, Any], places: Places) -> float:
    stored = places.texts.get(quote["source_id"], ())
    if quote["source_id"].endswith(".md"):
        return float(stored[0][quote["start"] : quote["end"]] == quote["text"])
    return float(any(quote["text"] in text for text in stored))


def _alike(quote: str, sentence: str) -> bool:
    one, other = _plain(quote), _plain(sentence)
    return bool(one and other) and (one in other or other in one)


def _plain(text: str) -> str:
    return " ".join("".join(c if c.isalnum() else " " for c in text.lower()).split())


def _part(gold: Sequence[str], found: Sequence[str]) -> float:
    return len(set(gold) & set(found)) / max(1, len(set(gold)))


def _mean(values: Sequence[float]) -> float:
    return sum(values) / max(1, len(values))
