"""Candidates: strings that may be secrets because of what stands before them and how they look.

A linear model over hashed features, trained by `bench/train_secrets.py`. Linear in the text: every string is read once,
with the `LEFT` characters before it. Units: characters.
"""

import math
import re
from bisect import bisect_right
from collections import Counter
from collections.abc import Iterator, Sequence
from functools import lru_cache
from itertools import accumulate, islice, pairwise
from pathlib import Path
from typing import Any, Final, NamedTuple
from zlib import crc32

BUCKETS: Final = 1 << 14
FILE: Final = Path(__file__).with_name("secrets.weights")
LEFT: Final = 48
LONGEST: Final = 400
WORDS_LEFT: Final = 6
HINTS: Final = 20_000
STRINGS: Final = 3_000
"""Strings of one text that are judged, its first ones; shapes and labels are looked for in all of it."""

_STRING: Final = re.compile(r"[^\s\"'`,;(){}<>\[\]|&\\]{4,400}")
_PART: Final = re.compile(r"[A-Z]?[a-z]+|[A-Z]+(?![a-z])|\d+")
_HINT: Final = (
    r"(?i)passw|pwd|pass\b|passphrase|secret|token|auth|cred|key|bearer|basic|nonce|salt|api|client|account|id\b|://|login"
    r"|session|private|access|sign|jwt|seed|-u\b|-p\b|pin\b|otp|user"
)
_FAKE: Final = re.compile(
    r"(?i)example|sample|dummy|fake|placeholder|changeme|your[_-]?|my[_-]|x{4,}|\*{3,}|\.{3,}|test|todo|redacted|insert|none|null"
    r"|true|false|undefined"
)
_SHAPES: Final = (
    ("path", re.compile(r"[./~@]*[\w.-]+(?:/[\w.-]+)+/?")),
    ("url", re.compile(r"[a-z][a-z0-9+.-]{1,20}://\S+")),
    ("dotted", re.compile(r"[A-Za-z_$][\w$]*(?:(?:\.|::|->)[A-Za-z_$][\w$]*)+")),
    ("call", re.compile(r"\w+\($")),
    ("variable", re.compile(r"[$%@#]\{?[A-Za-z_.\-]+\}?%?")),
    ("constant", re.compile(r"[A-Z][A-Z0-9]*(?:_[A-Z0-9]+)+")),
    ("snake", re.compile(r"[a-z][a-z0-9]*(?:[_-][a-z0-9]+)+")),
    ("camel", re.compile(r"[a-z]+(?:[A-Z][a-z]+)+\d?")),
    ("pascal", re.compile(r"(?:[A-Z][a-z]+){2,}\d?")),
    ("word", re.compile(r"[A-Za-z][a-z]+[.:!?]?")),
    ("shout", re.compile(r"[A-Z]+")),
    ("number", re.compile(r"[\d.,:-]+")),
    ("hex", re.compile(r"(?:0x)?[0-9a-f]+|(?:0x)?[0-9A-F]+")),
    ("uuid", re.compile(r"(?i)[0-9a-f]{8}-(?:[0-9a-f]{4}-){3}[0-9a-f]{12}")),
    ("base64", re.compile(r"[A-Za-z0-9+/_-]{16,}={0,2}")),
    ("email", re.compile(r"[\w.+-]+@[\w.-]+")),
    ("type", re.compile(r"[A-Za-z_][\w.]*(?:\[\]|\?|\*|&|!)?")),
)


class Candidate(NamedTuple):
    """A string, and how much it looks like a secret."""

    start: int
    end: int
    score: float


def candidates(text: str) -> Iterator[tuple[int, int, list[int]]]:
    """The strings of a text with their features; where nothing hints at a secret, none."""
    if text.replace(" ", "").replace(".", "").replace("\n", "").isalpha():
        return  # words and full stops
    for first, last in _windows(text):
        for found in _STRING.finditer(text, first):
            start, end = found.span()
            if start > last:
                break
            if not _is_plain_word(text, start, end):
                yield from _cut(text, start, end, text[max(0, start - LEFT) : start])


def hinting_at_secrets(texts: Sequence[str]) -> set[str]:
    """Those of the texts that have a word that may stand before one; one search for all. No text holds a NUL."""
    ends = list(accumulate(len(text) + 1 for text in texts))
    return {texts[bisect_right(ends, found.start())] for found in _hint().finditer("\0".join(texts))}


def _windows(text: str) -> Iterator[tuple[int, int]]:
    """From the string that holds a hint to the last one that may begin `LEFT` characters behind it; none overlap."""
    first, last = 0, -1
    for found in islice(_hint().finditer(text), HINTS):
        at = found.start()
        if at > last:
            if last >= 0:
                yield first, last
            first = _beginning(text, at, last + 1)
        last = at + LEFT
    if last >= 0:
        yield first, last


def _beginning(text: str, at: int, least: int) -> int:
    """Where the string around a place begins."""
    least = max(least, at - LONGEST)
    while at > least and text[at - 1] not in _BETWEEN and not text[at - 1].isspace():
        at -= 1
    return at


_BETWEEN: Final = frozenset("\"'`,;(){}<>[]|&\\")


def _is_plain_word(text: str, start: int, end: int) -> bool:
    """A word of a sentence: letters alone, given to nothing and quoted by nobody. Most strings of prose are that."""
    last = end - 1 if text[end - 1] in ".!?" else end
    return text[start:last].isalpha() and text[max(0, start - LEFT) : start].rstrip(" \t\n")[-1:] not in _GIVEN


_GIVEN: Final = frozenset("=:,>\"'`([{<\\")


@lru_cache(maxsize=1)
def _hint() -> Any:
    import re2

    return re2.compile(_HINT)


def _cut(text: str, start: int, end: int, left: str) -> Iterator[tuple[int, int, list[int]]]:
    """A string whole, or what stands behind its last `=`, `:` or in a URL's login."""
    value = text[start:end]
    login = _LOGIN.match(value)
    if login:
        yield (
            start + login.start(1),
            start + login.end(1),
            features(value[: login.start(1)][-LEFT:] + " login", login[1], ":"),
        )
        return
    at = max(value.find("="), value.rfind(":")) if "://" not in value else -1
    if 0 < at < len(value) - 4:
        yield start + at + 1, end, features(left + value[:at], value[at + 1 :], value[at])
    elif not value.endswith((":", "=")):
        yield start, end, features(left, value, "")


_LOGIN: Final = re.compile(r"[a-z][a-z0-9+.-]{1,20}://[^\s/:@]{0,64}:([^\s@]{2,128}?)@")


def features(left: str, value: str, sign: str) -> list[int]:
    """The buckets of a string and what stands before it."""
    gap = left.rstrip(" \t\"'`([{<\\")
    sign = sign or (gap[-1:] if gap[-1:] in "=:,>" else "")
    quoted = left[-1:] in "\"'`"
    words = [word.lower() for word in _PART.findall(left)][-WORDS_LEFT:]
    shape = _shape(value)
    said = [f"l{place} {word}" for place, word in enumerate(reversed(words[-3:]))]
    said += [f"l {word}" for word in words] + [
        f"g {left.rstrip()[-1:]}",
        f"s {sign}",
        f"q {quoted}",
        f"qs {quoted} {sign}",
    ]
    said += [f"v {one}" for one in shape] + [f"vs {one} {sign}{quoted}" for one in shape]
    said += [f"lw {word} {shape[0]}" for word in words[-2:]]
    said += [f"p {word.lower()}" for word in _PART.findall(value)[:8] if len(word) > 2]
    said += [f"c {value[:3]}", f"e {value[-1:]}"]
    return [crc32(one.encode("utf-8", "surrogatepass")) % BUCKETS for one in said]


def _shape(value: str) -> list[str]:
    kinds = [name for name, shape in _SHAPES if shape.fullmatch(value)] or ["other"]
    counts = Counter(value)
    size = len(value)
    entropy = -sum(n / size * math.log2(n / size) for n in counts.values())
    classes = (
        any(c.islower() for c in value),
        any(c.isupper() for c in value),
        any(c.isdigit() for c in value),
        any(not c.isalnum() for c in value),
    )
    mix = "".join("aA0!"[number] for number, held in enumerate(classes) if held)
    switches = sum(a.isdigit() != b.isdigit() for a, b in pairwise(value))
    vowels = sum(c in "aeiouAEIOU" for c in value) / size
    runs = max((len(run) for run in re.findall(r"[bcdfghjklmnpqrstvwxz]{1,40}", value.lower())), default=0)
    return [
        "+".join(kinds),
        f"size {min(size, 64).bit_length()} {mix}",
        f"size {min(size // 4, 20)}",
        f"entropy {round(entropy * 2)}",
        f"even {round(entropy / math.log2(size) * 10) if size > 1 else 0}",
        f"mix {mix}",
        f"switches {min(switches, 8)}",
        f"vowels {round(vowels * 6)} {min(size // 8, 4)}",
        f"consonants {min(runs, 7)} {kinds[0]}",
        f"fake {bool(_FAKE.search(value))}",
        *kinds,
    ]


class Secrets:
    """The weights.

    Args:
        data: A header line `bias scale threshold` and one signed byte a bucket.
    """

    def __init__(self, data: bytes) -> None:
        head, _, table = data.partition(b"\n")
        self.bias, scale, self.threshold = map(float, head.split())
        self.weights = [(byte - 256 if byte > 127 else byte) * scale for byte in table]

    def found(self, text: str) -> Iterator[Candidate]:
        """The strings of a text that look like secrets."""
        for start, end, made in islice(candidates(text), STRINGS):
            score = sum([self.weights[one] for one in made]) / len(made) ** 0.5 + self.bias
            if score > self.threshold:
                yield Candidate(start, end, score)


@lru_cache(maxsize=1)
def learnt() -> Secrets:
    """The ones that are shipped, read at their first use."""
    return Secrets(FILE.read_bytes())
