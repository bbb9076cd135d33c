"""Patterns: the guide's rules for text that goes out, each provably linear.

`re` backtracks, so every pattern here is one of three kinds: bounded repeats behind a literal; one unbounded run of a
single character class that can start only where the class does not hold before it; or a literal whose match swallows
everything that it scanned. Text is matched whatever its case. Units: characters.
"""

import re
from collections.abc import Callable, Iterable, Iterator, Sequence
from functools import lru_cache
from itertools import accumulate
from typing import Any, Final

from guards.scan.candidates import hinting_at_secrets, learnt
from guards.scan.pii import has_digits, ibans, ssns
from guards.scan.registered import Finder, finder, without
from guards.scan.shapes import compiled, forms
from guards.scan.shapes import keys as shaped
from guards.scan.unseen import is_plain, without_commands
from guards.scan.unseen import seen as without_unseen
from guards.scan.verdict import Span

CARD: Final = "[card removed]"
EMAIL: Final = "[e-mail removed]"
SECRET: Final = "[secret removed]"  # noqa: S105

_SEPARATOR = "[ .\u00a0\u2009\u202f\u2010-\u2015-]"
_NOT_INSIDE = r"(?<![\dA-Za-z])(?<!\d[.,])"
_NOT_ON = r"(?![\dA-Za-z])(?![.,]\d)"
_LONG_NUMBER = re.compile(rf"\d(?:{_SEPARATOR}?\d){{12}}")
_DASHED = re.compile(r"\b\d{4}-\d{4}-\d{4}-\d{4}\b")
_IN_FOURS = re.compile(rf"{_NOT_INSIDE}\d{{4}}(?:{_SEPARATOR}\d{{4}}){{3,}}{_NOT_ON}")
_AT_ONCE = re.compile(rf"{_NOT_INSIDE}(?:\d{{13,19}}|3\d{{3}}{_SEPARATOR}\d{{6}}{_SEPARATOR}\d{{4,5}}){_NOT_ON}")
_VALUES = bytes(code - 48 if 48 <= code < 58 else 0 for code in range(256))
_DOUBLED = bytes(2 * digit - 9 * (digit > 4) if digit < 10 else 0 for digit in range(256))
_EMAIL = re.compile(r"(?<![A-Za-z0-9._%+-])[A-Za-z0-9._%+-]++@[A-Za-z0-9.-]+\.[A-Za-z]{2,}\b")
_LABELLED = re.compile(
    r"((?<![A-Za-z])(?:passw(?:or)?d|token|(?:api|access|private|secret)?[_-]?key|secret)[\"']?"
    r"[ \t]{0,20}+\n?[ \t]{0,20}+[:=][ \t]{0,20}+\n?[ \t]{0,20}+)(?!\[(?:card|e-mail|secret) removed\])"
    r"(?:\"[^\"\n]{1,200}\"|'[^'\n]{1,200}'|\S*\w)",
    re.IGNORECASE,
)
_LABELS = ("passw", "token", "key", "secret")
_SHAPES = tuple(
    (marks, re.compile(pattern))
    for marks, pattern in (
        (
            ("-----BEGIN ",),
            r"-----BEGIN [A-Z0-9 ]{0,40}PRIVATE KEY-----(?s:.*?-----END [A-Z0-9 ]{0,40}PRIVATE KEY-----|.*)",
        ),
        (("sk-",), r"(?<![A-Za-z0-9])sk-[A-Za-z0-9_-]{16,}"),
        (("AKIA", "ASIA"), r"(?<![A-Za-z0-9])A[KS]IA[0-9A-Z]{16}(?![0-9A-Z])"),
        (
            ("ghp_", "gho_", "ghu_", "ghs_", "ghr_", "github_pat_", "glpat-", "xox", "AIza"),
            r"(?<![A-Za-z0-9])(?:gh[pousr]_|github_pat_|glpat-|xox[abprs]-|AIza)[A-Za-z0-9_-]{20,}",
        ),
        (("eyJ",), r"(?<![A-Za-z0-9_.-])eyJ[A-Za-z0-9_-]{8,}+\.[A-Za-z0-9_-]{8,}+\.[A-Za-z0-9_-]{8,}+"),
        (("://",), r"(?<=://)[^\s/:@]{1,64}:[^\s/@]{1,128}(?=@)"),
    )
)
"""Keys by their shape: an OpenAI key, an AWS key, GitHub, GitLab, Slack and Google tokens, a JWT, a login in a URL."""

_PASSES = 4  # what stands right behind a match is seen in the next pass


def redact(text: str, keep: frozenset[str] = frozenset(), own: Finder | None = None) -> tuple[str, tuple[str, ...]]:
    """The text without what must not leave, and what kinds were removed: "control" and those of `KINDS`.

    Redacting twice changes nothing more. Invisible characters go too, without being reported: no reader misses them.
    Linear in the text's length; cap it before the call.

    Args:
        text: Any text.
        keep: Kinds that may stay.
        own: Looks for this process's secrets, for who redacts many texts at once; None: looked up now.
    """
    seen, kinds = text, list[str]()
    if not is_plain(text):
        seen = without_commands(text)
        kinds = ["control"] if seen != text else []
        seen = without_unseen(seen)
    secrets_of_ours = own or finder()
    if seen is text and text.isascii() and _hold_nothing((text,), secrets_of_ours):
        return text, ()
    for _ in range(_PASSES):
        before, seen = seen, _removed(seen, keep, secrets_of_ours, kinds)
        if seen == before:
            break
    return seen, tuple(dict.fromkeys(kinds))


def none_holds(texts: Iterable[str], own: Finder) -> bool:
    """Whether `redact` would leave all of these texts as they are; plain ASCII ones are looked through together."""
    plain, others = list[str](), list[str]()
    for text in set(texts):
        (plain if text.isascii() and is_plain(text) else others).append(text)
    return _hold_nothing(plain, own) and all(redact(text) == (text, ()) for text in others)


def _hold_nothing(plain: Sequence[str], own: Finder) -> bool:
    """Whether nothing below would find anything in these ASCII texts: one search for all that a match begins with."""
    together = "\0".join(plain)
    if _beginnings().search(together) is not None or own.finds(together):
        return False
    return not any(next(learnt().found(text), None) for text in hinting_at_secrets(plain))


@lru_cache(maxsize=1)
def _beginnings() -> Any:
    """What every match of the removals holds, the learnt one's and our own secrets' aside."""
    marks = [re.escape(mark) for marks, _ in _SHAPES for mark in marks]
    label = r"(?i:passwd|password|token|key|secret)[\"']?[ \t]{0,20}\n?[ \t]{0,20}[:=]"
    numbers = (
        r"\d(?:[ .-]?\d){12}",
        r"(?:^|[^\d-])\d{3}(?:-?\d{2}-?| \d{2} )\d{4}(?:[^\d-]|$)",
        r"(?:^|[^A-Za-z0-9])[A-Za-z]{2}\d\d(?:[ -]?[A-Za-z0-9]){11}",
    )
    return compiled("|".join((*marks, label, "@", *numbers, forms())))


def _removed(text: str, keep: frozenset[str], own: Finder, kinds: list[str]) -> str:
    """The text after one pass of all removals; what was removed is noted in `kinds`."""
    for kind, remove in (("secret", own.redact), *REMOVALS):
        if kind not in keep and (after := remove(text)) != text:
            text = after
            kinds.append(kind)
    return text


def cards(text: str) -> str:
    """Card numbers removed: the guide's dashed form as it stands, other forms when prefix and Luhn sum hold."""
    if not (has_digits(text) and _LONG_NUMBER.search(text)):
        return text
    return _AT_ONCE.sub(_at_once, _IN_FOURS.sub(_in_fours, _DASHED.sub(CARD, text)))


def emails(text: str) -> str:
    """E-mail addresses removed."""
    return _EMAIL.sub(EMAIL, text) if "@" in text else text


def secrets(text: str) -> str:
    """Values of labels such as `password:` removed."""
    lower = text.lower()
    return _LABELLED.sub(rf"\1{SECRET}", text) if any(label in lower for label in _LABELS) else text


def labelled(text: str) -> Iterator[Span]:
    """Where those values stand."""
    for found in _LABELLED.finditer(text):
        yield found.end(1), found.end(), "secret"


def keys(text: str) -> str:
    """Keys that are known by their shape, removed."""
    for marks, shape in _SHAPES:
        if any(mark in text for mark in marks):
            text = shape.sub(SECRET, text)
    return text


def ids(text: str) -> str:
    """IBANs and social security numbers removed, by their check digits."""
    return _without(text, (*ibans(text), *ssns(text)), "[number removed]") if has_digits(text) else text


def known_shapes(text: str) -> str:
    """Keys and tokens of many providers removed, and strings that their place and look give away."""
    return _without(text, (*shaped(text), *((one.start, one.end, "") for one in learnt().found(text))), SECRET)


def _without(text: str, spans: Iterable[Span], mark: str) -> str:
    """The text without these; what is a part of a mark already stays, or it would be marked again and again."""
    found_spans = list(spans)
    if not found_spans:
        return text
    marks = [found.span() for found in _MARK.finditer(text)]
    new = [
        (start, end) for start, end, _ in found_spans if not any(start < last and first < end for first, last in marks)
    ]
    return without(text, new, mark)


_MARK: Final = re.compile(r"\[(?:card|e-mail|secret|number) removed\]")


REMOVALS: Final[tuple[tuple[str, Callable[[str], str]], ...]] = (
    ("secret", keys),
    ("card", cards),
    ("email", emails),
    ("secret", secrets),
    ("id", ids),
    ("secret", known_shapes),
)
KINDS: Final = frozenset(kind for kind, _ in REMOVALS)
"""Guide: output sanitization. The order matters: a card number behind `key:` must go as a whole."""


def _in_fours(run: re.Match[str]) -> str:
    """A run of groups of four digits, without any four neighbours that are a card number."""
    text, kept, done, group = run[0], [], 0, 0
    digits = _digits(text)
    sums = (0, *accumulate(map(sum, zip(digits[1::2], digits[::2].translate(_DOUBLED), strict=True))))
    while 2 * group + 8 < len(sums):
        if (sums[2 * group + 8] - sums[2 * group]) % 10 == 0 and _is_prefix(digits[4 * group : 4 * group + 2]):
            kept += [text[done : 5 * group], CARD]
            done, group = 5 * group + 19, group + 4
        else:
            group += 1
    return "".join((*kept, text[done:]))


def _at_once(number: re.Match[str]) -> str:
    digits = _digits(number[0])
    total = sum(digits[-1::-2]) + sum(digits[-2::-2].translate(_DOUBLED))
    return CARD if total % 10 == 0 and _is_prefix(digits) else number[0]


def _digits(number: str) -> bytes:
    """The digits' values, whatever script they are written in."""
    plain_number = number if number.isascii() else "".join(str(int(c)) for c in number if c.isdecimal())
    return plain_number.encode().translate(_VALUES, b" .-")


def _is_prefix(digits: bytes) -> bool:
    return 3 <= digits[0] <= 6 or (digits[0] == 2 and 2 <= digits[1] <= 7)
