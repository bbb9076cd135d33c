"""Tokens: words as they are compared: lower case, accents gone, plurals and inflections folded."""

import re
import unicodedata
from collections import Counter
from dataclasses import dataclass
from functools import lru_cache

LONGEST = 20_000
"""Characters of one text that are looked at."""

READINGS_KEPT = 1_024
"""Texts whose words are remembered: those of one run, which are compared several times."""

_WORD = re.compile(r"\w+")
_ACCENTS = re.compile(r"[\u0300-\u036f]+")
_ENDINGS = (
    "ational",
    "ization",
    "fulness",
    "ousness",
    "iveness",
    "ingly",
    "edly",
    "ment",
    "ing",
    "ies",
    "ed",
    "es",
    "ly",
    "s",
)


def words(text: str) -> list[str]:
    """The words of a text, in order, lower case and without accents."""
    return _WORD.findall(_plain(text[:LONGEST]).lower())


@lru_cache(maxsize=65_536)
def stem(word: str) -> str:
    """A word without its common English ending; short words stay."""
    if not word.endswith(_ENDINGS):  # most words, at a tenth of the price
        return word
    for ending in _ENDINGS:
        if word.endswith(ending) and len(word) - len(ending) >= 3:
            return _without(word, ending)
    return word


def _without(word: str, ending: str) -> str:
    """cities: city, boxes: box, but bridges: bridge."""
    if ending == "es" and word[-3] not in "sxzho":
        return word[:-1]
    return word[: -len(ending)] + ("y" if ending == "ies" else "")


def stems(text: str) -> list[str]:
    """The stems of a text's words, in order."""
    return [stem(word) for word in words(text)]


@dataclass(frozen=True)
class Reading:
    """A text as it is compared.

    Attributes:
        folded: Its words with one blank before, between and after them: `one.folded in other.folded` finds phrases.
        counts: How often each stem stands in it. Shared: never change it.
    """

    folded: str
    counts: Counter[str]


@lru_cache(maxsize=READINGS_KEPT)
def read(text: str) -> Reading:
    """A text's words, read once."""
    found = words(text)
    return Reading(f" {' '.join(found)} ", Counter(map(stem, found)))


def folded(text: str) -> str:
    """The words of a text with one blank before, between and after them."""
    return f" {' '.join(words(text))} "


def _plain(text: str) -> str:
    """The text without accents."""
    return text if text.isascii() else _ACCENTS.sub("", unicodedata.normalize("NFKD", text))
