"""Model: a small linear model over words and their parts, trained by `bench/train_injection.py`; pure Python at work.

A text is read in windows of `WIDTH` words. Features: each word's 3- to 5-grams, words in a row, and pairs of concepts
(`guards.scan.concepts`) that stand near each other; a feature is a bucket of a hash. A window's score is the sum of
its features' weights over the root of their number. Words are remembered with their sums, and windows are
differences of running sums, so the work is linear in the text.
"""

import re
from collections.abc import Iterator, Sequence
from functools import lru_cache
from itertools import accumulate
from pathlib import Path
from typing import Final, NamedTuple
from zlib import crc32

from guards.scan.concepts import concept

BUCKETS: Final = 1 << 16
FILE: Final = Path(__file__).with_name("injection.weights")
WIDTH: Final = 40
STRIDE: Final = 10
WORD: Final = 24
"""Characters of a word; a longer one is read in pieces."""

LONGEST: Final = 120_000
"""Characters."""

NEAR: Final = 8
"""Words within which two concepts make a pair."""

WORDS_KNOWN: Final = 20_000

_TOKEN: Final = re.compile(r"\w{1,24}|[^\w\s]")


class Window(NamedTuple):
    """The most suspicious part of a text: its score, and where it begins and ends."""

    score: float
    start: int
    end: int


def tokens(text: str) -> list[re.Match[str]]:
    """The words and signs of a text."""
    return list(_TOKEN.finditer(text))


def parts(word: str) -> list[int]:
    """The buckets of a word by itself: of its parts, and of it."""
    framed = f" {word} "
    grams = [framed[at : at + size] for size in (3, 4, 5) for at in range(len(framed) - size + 1)]
    return [bucket(gram) for gram in grams] + [bucket(f"w {word}")]


def pairs(words: Sequence[str]) -> Iterator[list[int]]:
    """For each word the buckets of what it makes with those before it."""
    near: list[tuple[int, str]] = []
    for at, word in enumerate(words):
        found = []
        if at:
            found.append(bucket(f"2 {words[at - 1]} {word}"))
        if at > 1:
            found.append(bucket(f"3 {words[at - 2]} {words[at - 1]} {word}"))
        if here := concept(word):
            near = [(place, one) for place, one in near[-NEAR:] if at - place <= NEAR]
            found += [bucket(f"c {one} {here}") for _, one in near] + [bucket(f"c {here}")]
            near.append((at, here))
        yield found


def bucket(feature: str) -> int:
    """Where a feature's weight is."""
    return crc32(feature.encode("utf-8", "surrogatepass")) % BUCKETS


class Model:
    """The weights.

    Args:
        data: A header line `bias scale threshold` and one signed byte a bucket.
    """

    def __init__(self, data: bytes) -> None:
        head, _, table = data.partition(b"\n")
        self.bias, scale, self.threshold = map(float, head.split())
        self.weights = [(byte - 256 if byte > 127 else byte) * scale for byte in table]
        self._known: dict[str, tuple[float, int]] = {}

    def worst(self, text: str) -> Window:
        """The most suspicious window of a text; of a longer one than `LONGEST` of its beginning and its end."""
        if len(text) > LONGEST:
            behind = len(text) - LONGEST // 2
            first, other = self.worst(text[: LONGEST // 2]), self.worst(text[behind:])
            return max(first, Window(other.score, other.start + behind, other.end + behind))
        found = tokens(text)
        words = [one[0] for one in found]
        if not words:
            return Window(self.bias, 0, 0)
        weights = self.weights
        sums, counts = [], []
        for word, made in zip(words, pairs(words), strict=True):
            weight, number = self._of(word)
            sums.append(weight + sum([weights[one] for one in made]))
            counts.append(number + len(made))
        sums, counts = [0.0, *accumulate(sums)], [0, *accumulate(counts)]
        last = len(words)
        starts = range(0, max(1, last - WIDTH + STRIDE), STRIDE)
        ends = [min(last, start + WIDTH) for start in starts]
        scores = [
            (sums[end] - sums[start]) / (counts[end] - counts[start] + 1) ** 0.5
            for start, end in zip(starts, ends, strict=True)
        ]
        best = scores.index(max(scores))
        return Window(scores[best] + self.bias, found[starts[best]].start(), found[ends[best] - 1].end())

    def _of(self, word: str) -> tuple[float, int]:
        known = self._known.get(word)
        if known is None:
            if len(self._known) >= WORDS_KNOWN:
                self._known.clear()
            made = parts(word)
            known = self._known[word] = sum([self.weights[one] for one in made]), len(made)
        return known


@lru_cache(maxsize=1)
def model() -> Model:
    """The one that is shipped, read at its first use."""
    return Model(FILE.read_bytes())
