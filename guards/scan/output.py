"""Output: what must not leave in a text: registered secrets, keys, what identifies people, and markup that acts (G2).

The order has a reason: what nobody sees goes first, so that it hides nothing; secrets and personal data are found in
what is left, and markup is taken apart last. Doing it twice changes nothing more.
"""

import hashlib
import hmac
import secrets as entropy
from collections.abc import Callable, Iterable, Mapping
from functools import lru_cache
from typing import Final

from guards.scan.candidates import learnt
from guards.scan.markup import Allowed, inert
from guards.scan.pii import personal
from guards.scan.registered import finder
from guards.scan.shapes import keys
from guards.scan.unseen import seen, without_commands
from guards.scan.verdict import Action, Span, Verdict

LONGEST: Final = 1_000_000
"""Characters; a longer text is withheld as a whole."""

PASSES: Final = 4
LABELS: Final = {"email": "e-mail", "ip": "IP address", "iban": "IBAN", "ssn": "SSN"}
MASKED: Final = 4
"""Characters at the end that `mask` shows of a longer value."""


def scan_output(text: str, actions: Mapping[str, Action] | None = None, image: Allowed | None = None) -> Verdict:
    """What of a text must not leave.

    Args:
        text: Any text.
        actions: What happens to which of `KINDS`; "redact" when a kind is not named. "block" withholds the whole text.
        image: Which images its markup may load.
    """
    if len(text) > LONGEST:
        return Verdict(True, (f"longer than {LONGEST:,} characters: withheld",), ((0, len(text), "too long"),), "")
    wanted = actions or {}
    reasons, spans = list[str](), list[Span]()
    bare = seen(text)
    if bare != text:
        reasons.append("hidden or control characters")
        spans.append((0, len(text), "hidden"))
    leaking = _leaking(bare, wanted)
    reasons += dict.fromkeys(span[2] for span in leaking)
    if any(wanted.get(kind_of(span[2])) == "block" for span in leaking):
        return Verdict(True, tuple(reasons), tuple(leaking), "")
    if bare == text:
        spans += leaking
    shown, active = inert(_replaced_all(bare, leaking, wanted), image)
    reasons += active
    spans += [(0, len(text), "markup")] if active else []
    return Verdict(bool(reasons), tuple(dict.fromkeys(reasons)), tuple(sorted(spans)), shown)


def treated(text: str, actions: Mapping[str, Action]) -> tuple[str, tuple[str, ...]]:
    """The text with what must not leave in the form that its kind's action gives it, and which kinds were found.

    Hidden characters go, and terminal commands count as the kind "control"; markup stays as it is.

    Args:
        text: Any text; cap its length before.
        actions: As for `scan_output`; who blocks does so by the kinds.
    """
    bare = seen(text)
    found = _leaking(bare, actions)
    kinds = [] if without_commands(text) == text else ["control"]
    kinds += [kind_of(reason) for _, _, reason in found]
    return _replaced_all(bare, found, actions), tuple(dict.fromkeys(kinds))


def _leaking(text: str, actions: Mapping[str, Action]) -> list[Span]:
    return [span for span in leaks(text) if actions.get(kind_of(span[2])) != "keep"]


def _replaced_all(text: str, found: list[Span], wanted: Mapping[str, Action]) -> str:
    """Until nothing more is found: what stands beside a mark may look like what it did not look like before."""
    for _ in range(PASSES):
        if not found:
            break
        text = replaced(text, found, wanted)
        found = [span for span in leaks(text) if wanted.get(kind_of(span[2]), "redact") == "redact"]
    return text


def leaks(text: str) -> list[Span]:
    """Secrets and personal data of a text, in its order; spans do not overlap, and the surest finder comes first."""
    found = list[Span]()
    for finds in (finder().spans, keys, personal, _learnt):
        for start, end, kind in finds(text):
            if not any(start < last and first < end for first, last, _ in found):
                found.append((start, end, kind))
    return sorted(found)


def _learnt(text: str) -> Iterable[Span]:
    return ((one.start, one.end, "secret: by its place and look") for one in learnt().found(text))


def kind_of(reason: str) -> str:
    """The kind that policies name."""
    return "secret" if "secret" in reason else reason


def replaced(text: str, spans: Iterable[Span], actions: Mapping[str, Action]) -> str:
    """The text with each span in the form that its kind's action gives it."""
    kept, done = list[str](), 0
    for start, end, reason in sorted(spans):
        if start >= done:
            kind = kind_of(reason)
            kept += [text[done:start], _FORMS[actions.get(kind, "redact")](text[start:end], LABELS.get(kind, kind))]
            done = end
    return "".join([*kept, text[done:]])


def _redacted(value: str, label: str) -> str:
    return f"[{label} removed]"


def _masked(value: str, label: str) -> str:
    shown = value[-MASKED:] if len(value) > 3 * MASKED else ""
    return "*" * (len(value) - len(shown)) + shown


def _hashed(value: str, label: str) -> str:
    """The same value has the same name, in this process alone: a number of nine digits is soon guessed."""
    return f"[{label} {hmac.new(_key(), value.encode('utf-8', 'replace'), hashlib.sha256).hexdigest()[:12]}]"


@lru_cache(maxsize=1)
def _key() -> bytes:
    return entropy.token_bytes(32)


_FORMS: Final[dict[str, Callable[[str, str], str]]] = {
    "redact": _redacted,
    "mask": _masked,
    "hash": _hashed,
    "keep": lambda value, label: value,
    "block": _redacted,
}
