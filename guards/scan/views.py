"""Views: a text as its author may have hidden it: decoded, joined, turned round. Each view knows where it came from.

Every view is made in one pass over the text, and of decoded pieces at most `DECODED` characters are kept, so the work
is linear in the text whatever stands in it. Units: characters.
"""

import base64
import binascii
import html
import re
import string
from bisect import bisect_right
from collections.abc import Callable, Iterator, Sequence
from functools import lru_cache
from itertools import accumulate
from typing import Any, Final, NamedTuple
from urllib.parse import unquote

from guards.scan.letters import letters

DECODED: Final = 20_000
"""Characters of all decoded pieces of one kind together."""

PIECES: Final = 200
"""Decoded pieces of one kind."""

TURNED: Final = 5_000
"""Characters of a text that ciphers are tried on."""

COMMON: Final = frozenset(
    "the and you your to of is are in it that for with this not all be from have der die und nicht das ist de la que el "
    "los un una le les des est et il di che non".split()
)
"""Words by which a text is known to be in a language."""


class View(NamedTuple):
    """One reading of a text.

    Attributes:
        name: How it was made.
        text: Lower case, white space folded.
        starts: Where each piece of `text` begins in it.
        spans: Where each piece comes from.
    """

    name: str
    text: str
    starts: Sequence[int]
    spans: Sequence[tuple[int, int]]

    def span(self, start: int, end: int) -> tuple[int, int]:
        """Where a part of the view comes from in the text."""
        first = max(0, bisect_right(self.starts, start) - 1)
        last = max(first, bisect_right(self.starts, max(start, end - 1)) - 1)
        return self.spans[first][0], self.spans[last][1]


def views(text: str) -> Iterator[View]:
    """The text as a reader sees it, then every other reading that gives something else."""
    read = plain(text)
    yield read
    yield from _hidden(text)
    digits = sum(map(text.count, string.digits))
    for name, least, mark, find, decode in _ENCODINGS:
        if digits >= least and mark in text and (found := _decoded(name, text, find, decode)) is not None:
            yield found
    yield from _respelled(read, text)
    yield from _turned(read)


def is_odd(text: str, words: Sequence[str]) -> bool:
    """Whether there may be more to a text than what a reader sees: one quick look, for texts by the thousand.

    Args:
        text: Any text.
        words: It in lower case, split at white space.
    """
    return not text.isascii() or _odd().search(text) is not None or len(COMMON.intersection(words)) < KNOWN


@lru_cache(maxsize=1)
def _odd() -> Any:
    import re2

    return re2.compile(_ODD)


def plain(text: str, name: str = "plain") -> View:
    """The text with each character as it looks; one piece a word."""
    seen = text.lower() if text.isascii() else None
    words, spans = list[str](), list[tuple[int, int]]()
    for found in _WORD.finditer(text):
        word = found[0]
        word = word.lower() if seen is not None or word.isascii() else "".join([letters[ord(c)] for c in word])
        if word:
            words.append(word)
            spans.append(found.span())
    return _joined(name, words, spans)


def _joined(name: str, words: Sequence[str], spans: Sequence[tuple[int, int]]) -> View:
    starts = [0, *accumulate(len(word) + 1 for word in words)]
    return View(name, " ".join(words), starts[: len(words)] or [0], spans or [(0, 0)])


# -- what nobody sees


def _hidden(text: str) -> Iterator[View]:
    """Messages in tag characters, variation selectors and invisible operators."""
    if text.isascii():
        return
    for name, run, decode in _HIDDEN:
        if (found := _decoded(name, text, run, decode)) is not None:
            yield found


def _tags(run: str) -> str:
    return "".join(chr(ord(c) - 0xE0000) for c in run if 0xE0020 <= ord(c) < 0xE007F)


def _selectors(run: str) -> str:
    values = bytes(_selected(ord(c)) for c in run)
    return values.decode("utf-8", "ignore")


def _selected(code: int) -> int:
    return code - 0xFE00 if code < 0xFE10 else (code - 0xE0100 + 16) & 0xFF


def _bits(run: str) -> str:
    ones = "\u2064\u200c\U000e0031"
    return _of_bits("".join("1" if c in ones else "0" for c in run))


def _of_bits(bits: str) -> str:
    return bytes(int(bits[at : at + 8], 2) for at in range(0, len(bits) - 7, 8)).decode("utf-8", "ignore")


_HIDDEN: Final = (
    ("tag characters", re.compile("[\U000e0020-\U000e007f]{4,}"), _tags),
    ("variation selectors", re.compile("[\ufe00-\ufe0f\U000e0100-\U000e01ef]{4,}"), _selectors),
    ("invisible bits", re.compile("[\u2062\u2064]{16,}|[\u200b\u200c]{16,}"), _bits),
)


# -- encodings


def _decoded(name: str, text: str, find: re.Pattern[str], decode: Callable[[str], str]) -> View | None:
    """All pieces of a text that are written in an encoding, decoded."""
    words, spans, left = list[str](), list[tuple[int, int]](), DECODED
    for found in find.finditer(text):
        said = _printable(decode(found[0][: 4 * DECODED]))[:left]
        if said:
            words.append(" ".join("".join(letters[ord(c)] for c in said).split()))
            spans.append(found.span())
            left -= len(said)
        if left <= 0 or len(words) >= PIECES:
            break
    return _joined(name, words, spans) if any(words) else None


def _printable(text: str) -> str:
    """The text, if it is one: almost all of it printable."""
    good = sum(c.isprintable() or c.isspace() for c in text[:500])
    return text if text and good >= 0.9 * min(len(text), 500) else ""


def _base64(piece: str) -> str:
    bare = "".join(piece.split()).rstrip("=").replace("-", "+").replace("_", "/")
    try:
        return base64.b64decode(bare[: len(bare) // 4 * 4] + _rest(bare)).decode("utf-8")
    except (binascii.Error, UnicodeDecodeError):
        return ""


def _rest(bare: str) -> str:
    left = len(bare) % 4
    return "" if left < 2 else bare[-left:] + "=" * (4 - left)


def _hex(piece: str) -> str:
    digits = re.sub(r"0x|\\x|[^0-9a-fA-F]", "", piece)
    return bytes.fromhex(digits[: len(digits) // 2 * 2]).decode("utf-8", "ignore")


def _numbers(base: int) -> Callable[[str], str]:
    def decode(piece: str) -> str:
        values = [int(number, base) for number in re.findall(r"\d+", piece)]
        return (
            "".join(chr(value) for value in values) if all(31 < value < 256 or value == 10 for value in values) else ""
        )

    return decode


def _binary(piece: str) -> str:
    return _of_bits(re.sub("[^01]", "", piece))


def _escapes(piece: str) -> str:
    return _ESCAPE.sub(lambda one: chr(min(int(one[1] or one[2], 16), 0x10FFFF)), piece)


def _morse(piece: str) -> str:
    words = re.split(r"\s{2,}|\s*/\s*|\n", piece)
    return " ".join("".join(_MORSE.get(sign, "") for sign in word.split()) for word in words)


_ESCAPE: Final = re.compile(r"\\[uU]\{?([0-9a-fA-F]{1,6})\}?|\\x([0-9a-fA-F]{2})")
_MORSE: Final = dict(
    zip(
        ".- -... -.-. -.. . ..-. --. .... .. .--- -.- .-.. -- -. --- .--. --.- .-. ... - ..- ...- .-- -..- -.-- --..".split(),
        string.ascii_lowercase,
        strict=True,
    )
)
_ENCODINGS: Final = (
    ("base64", 0, "", re.compile(r"(?<![A-Za-z0-9+/_-])[A-Za-z0-9+/_-]{16,}={0,2}"), _base64),
    ("hex", 12, "", re.compile(r"(?<![0-9a-zA-Z])(?:(?:0x|\\x)?[0-9a-fA-F]{2}[ ,:]?){8,}"), _hex),
    ("binary", 32, "0", re.compile(r"(?<![0-9])(?:[01]{8}[ ,]?){4,}"), _binary),
    ("octal", 16, "", re.compile(r"(?<![0-9])(?:\\?[01]?[0-7]{2}[ ,]){8,}[0-7]{2,3}"), _numbers(8)),
    ("decimal", 16, "", re.compile(r"(?<![0-9])(?:1?[0-9]{2}[ ,;]{1,2}){8,}[0-9]{2,3}"), _numbers(10)),
    ("percent encoding", 0, "%", re.compile(r"(?:[^\s%]{0,80}%[0-9a-fA-F]{2}){3,}[^\s%]{0,80}"), unquote),
    (
        "escapes",
        0,
        "\\",
        re.compile(r"(?:[^\s\\]{0,20}\\(?:[uU]\{?[0-9a-fA-F]{1,6}\}?|x[0-9a-fA-F]{2})){3,}[^\s\\]{0,20}"),
        _escapes,
    ),
    (
        "entities",
        0,
        "&",
        re.compile(r"(?:[^\s&]{0,20}&(?:#\d{1,7}|#[xX][0-9a-fA-F]{1,6}|[a-zA-Z]{2,8});){3,}[^\s&]{0,20}"),
        html.unescape,
    ),
    ("morse", 0, "-", re.compile(r"(?:[.\-]{1,6}[ /\n]{1,3}){8,}[.\-]{0,6}"), _morse),
)


# -- other spellings


def _respelled(read: View, raw: str) -> Iterator[View]:
    """Letters that digits stand for, and words whose letters are held apart."""
    text = read.text
    stands = sum(map(text.count, "0134578@$(|"))
    leet, count = _LEET.subn(lambda word: word[0].translate(_LETTERS), text) if stands >= LEET_WORDS else (text, 0)
    if count >= LEET_WORDS and len(leet) == len(text):
        yield read._replace(name="leet", text=leet)
    yield from _apart(raw)
    bare, count = _INSIDE.subn("", text) if any(map(text.count, "*|`~")) else (text, 0)
    if count >= LEET_WORDS:
        yield View("signs inside", bare, [0], [(read.spans[0][0], read.spans[-1][1])])


def _apart(raw: str) -> Iterator[View]:
    """Words whose letters are held apart, joined."""
    words, spans = list[str](), list[tuple[int, int]]()
    done = 0
    for run in _APART.finditer(raw):
        for start, end, part in ((done, run.start(), raw[done : run.start()]), (*run.span(), _held_apart(run[0]))):
            words += [_seen(part)] if part.strip() else []
            spans += [(start, end)] if part.strip() else []
        done = run.end()
    if done:
        words.append(_seen(raw[done:]))
        spans.append((done, len(raw)))
        yield _joined("letters apart", words, spans)


def _seen(text: str) -> str:
    return " ".join("".join(letters[ord(c)] for c in text).split())


def _held_apart(run: str) -> str:
    """`i-g-n-o-r-e a-l-l` and `i g n o r e   a l l` without what holds the letters apart."""
    signs = _SIGNS.sub("", run)
    if len(signs) < len(run) - run.count(" "):
        return signs
    return " ".join(word.replace(" ", "") for word in _GAP.split(run))


LEET_WORDS: Final = 3
"""Words that make a spelling one: a single `b2b` does not."""

_LEET: Final = re.compile(r"(?<![\w@$(|])(?=[\w@$(|]{0,29}[a-z])(?=[a-z]{0,29}[0-9@$(|])[\w@$(|]{3,30}")
_LETTERS: Final = str.maketrans("0134578@$(|69", "oieastbasclgg")
_APART: Final = re.compile(r"(?<!\w)(?:\w(?:[\-_.*,;:|~/+'\"]{1,2}| {1,4})){5,}\w(?!\w)")
_SIGNS: Final = re.compile(r"[\-_.*,;:|~/+'\"]")
_GAP: Final = re.compile(r" {2,}")
_INSIDE: Final = re.compile(r"(?<=\w)[*|`~]{1,2}(?=\w)")
_ODD: Final = (
    r"[A-Za-z0-9+/_-]{20}|%[0-9a-fA-F]{2}|\\[uUx][0-9a-fA-F{]|&(?:#|[a-z]{2,6};)|[.\-]{1,6}[ /][.\-]{1,6}[ /][.\-]{1,6}[ /]"
    r"|[01]{8}[ ,]?[01]{8}|(?:[0-9a-fA-F]{2}[ ,:]){6}|(?:\d{2,3}[ ,;]{1,2}){8}|[a-z][0134578@$(|][a-z]|\b(?:\w[^\w\s]|\w {1,4}){5}"
)
_WORD: Final = re.compile(r"\S{1,200}")


# -- ciphers


def _turned(read: View) -> Iterator[View]:
    """The text turned round, or with its letters exchanged, where that makes more English of it."""
    text = read.text[:TURNED]
    known = _english(text)
    if known >= KNOWN:
        return
    whole = [(read.spans[0][0], read.spans[-1][1])]
    best, name, found = known, "", ""
    for called, turn in _TURNS:
        turned = turn(text)
        if (score := _english(turned)) > best:
            best, name, found = score, called, turned
    if name and best >= known + 2:
        yield View(name, found, [0], whole)


KNOWN: Final = 4
"""Common words that show that a text is in no cipher."""


def _english(text: str) -> int:
    """Different common words of a text."""
    return len(COMMON.intersection(text.split()))


def _shifted(by: int) -> Callable[[str], str]:
    low = string.ascii_lowercase
    table = str.maketrans(low, low[by:] + low[:by])
    return lambda text: text.translate(table)


_TURNS: Final[tuple[tuple[str, Callable[[str], str]], ...]] = (
    ("reversed", lambda text: text[::-1]),
    ("words reversed", lambda text: " ".join(word[::-1] for word in text.split())),
    ("atbash", lambda text: text.translate(str.maketrans(string.ascii_lowercase, string.ascii_lowercase[::-1]))),
    *((f"shifted by {by}", _shifted(by)) for by in range(1, 26)),
)
