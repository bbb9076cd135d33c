"""Tokens: words as they are compared: lower case, plurals and inflections folded."""

import re
from functools import lru_cache

LONGEST = 20_000
"""Characters of one text that are looked at."""

_WORD = re.compile(r"\w+")
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
    """The words of a text, in order, lower case."""
    return _WORD.findall(text[:LONGEST].lower())


@lru_cache(maxsize=65_536)
def stem(word: str) -> str:
    """A word without its common English ending; short words stay."""
    for ending in _ENDINGS:
        if word.endswith(ending) and len(word) - len(ending) >= 3:
            return word[: -len(ending)] + ("y" if ending == "ies" else "")
    return word


def stems(text: str) -> list[str]:
    """The stems of a text's words, in order."""
    return [stem(word) for word in words(text)]
