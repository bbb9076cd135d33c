"""Injection: does a text try to give orders to a model? A signal with its reasons, never the gate (guide: G1).

Every view of the text is read by the rules and by the model. Length first: of a longer text than `LONGEST` characters
the beginning and the end are read, and that is a reason by itself.
"""

from guards.scan.concepts import speaks_of_orders
from guards.scan.model import Model, model
from guards.scan.rules import tripped
from guards.scan.unseen import seen
from guards.scan.verdict import Span, Verdict
from guards.scan.views import is_odd, views

LONGEST = 1_000_000
VIEW_LONGEST = 200_000
"""Characters of a view other than the plain one that are read."""

SURER = 1.0
"""By how much more a text that nobody typed must look like orders: there is more of it."""

PER_DOUBLING = 0.25
"""What the model's threshold rises by when a text is twice as long: more windows, more chances to look bad."""

SHORT = 2_000


def orders(text: str, longest: int | None = None) -> str | None:
    """What a text that nobody typed, such as a source's, trips; None when nothing.

    The rules read every view of it, the model only a text that speaks of what orders speak of.

    Args:
        text: Any text.
        longest: Characters; a longer text is not read and trips "too long".
    """
    if longest is not None and len(text) > longest:
        return "too long"
    text = text[:LONGEST]
    words = text.lower().split()
    readings = (
        ((view.name, view.text) for view in views(text)) if is_odd(text, words) else (("plain", " ".join(words)),)
    )
    for name, read in readings:
        for rule, _, _ in tripped(read):
            return rule if name == "plain" else f"{rule}, {name}"
        if speaks_of_orders(read) and _is_suspicious(read):
            return "learnt model" if name == "plain" else f"learnt model, {name}"
    return None


def _is_suspicious(text: str) -> bool:
    weights = model()
    return weights.worst(text).score > weights.threshold + SURER + _longer(text)


def _longer(text: str) -> float:
    return PER_DOUBLING * max(0, (len(text) // SHORT).bit_length())


def scan_input(text: str, learnt: Model | None = None) -> Verdict:
    """What of a text looks like orders to a model.

    Args:
        text: Any text.
        learnt: The weights; the shipped ones when not given.

    Returns:
        The verdict; `clean` is the text without its hidden characters.
    """
    reasons, spans = list[str](), list[Span]()
    if len(text) > LONGEST:
        reasons.append("too long: only its beginning and its end were read")
        text = text[: LONGEST // 2] + text[-LONGEST // 2 :]
    weights = learnt or model()
    limit = weights.threshold + _longer(text)
    for number, view in enumerate(views(text)):
        read = view.text if number == 0 else view.text[:VIEW_LONGEST]
        for name, start, end in tripped(read):
            reasons.append(f"{view.name}: rule '{name}'")
            spans.append((*view.span(start, end), f"rule {name}"))
        worst = weights.worst(read)
        if worst.score > limit:
            reasons.append(f"{view.name}: model, {worst.score:.1f} above {limit:.1f}")
            spans.append((*view.span(worst.start, worst.end), "model"))
    clean = seen(text)
    return Verdict(bool(reasons), tuple(dict.fromkeys(reasons)), tuple(sorted(set(spans))), clean)
