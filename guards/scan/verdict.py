"""Verdict: what a scanner says of a text."""

from typing import Any, Final, Literal, NamedTuple

Span = tuple[int, int, str]
"""Where something was found, [start, end) in characters of the text, and what it is."""


Action = Literal["redact", "mask", "hash", "block", "keep"]
"""What happens to something that must not leave."""

KINDS: Final = ("secret", "card", "iban", "ssn", "email", "phone", "ip")
"""What policies name."""


class Verdict(NamedTuple):
    """What was found.

    Attributes:
        flagged: Whether anything was.
        reasons: Why, in words for people: which view, which rule. Never a part of the text.
        spans: Where, in the order of the text.
        clean: The text as it may be passed on.
    """

    flagged: bool
    reasons: tuple[str, ...]
    spans: tuple[Span, ...]
    clean: str

    def data(self) -> dict[str, Any]:
        """The same for JSON."""
        return {
            "flagged": self.flagged,
            "reasons": list(self.reasons),
            "spans": [list(span) for span in self.spans],
            "clean": self.clean,
        }
