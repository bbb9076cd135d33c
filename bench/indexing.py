"""Indexing: a folder of 9,000 files against a bare FTS5 build of the same texts, and a question against a bare query.

The texts are made up, always the same: common English words, rarer ones after Zipf's law, and titles of other texts, so
that a question's second round has names to look up. A question meets as many of them (about 2,000) as real questions
meet encyclopedia paragraphs. Both sides search for the same words.
"""

import asyncio
import itertools
import os
import random
import sqlite3
import statistics
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any

from bench.table import Row, finish
from nodes.text.common import COMMON

PASSAGES = 9_000
BUILD_BAR = 4.0
QUESTION_BAR = 30.0
QUESTIONS = 24
BUILDS = 3

TOKENS = "porter unicode61 remove_diacritics 2"
SYLLABLES = [consonant + vowel for consonant in "b d f g h k l m n p r s t v z br st tr".split() for vowel in "aeiou"]


def texts(number: int = PASSAGES) -> list[tuple[str, str]]:
    """(title, text of 600 to 1,000 characters) of so many made-up documents."""
    chance = random.Random(7)
    words = ["".join(chance.choices(SYLLABLES, k=chance.randint(2, 4))) for _ in range(30_000)]
    rarity = list(itertools.accumulate(1 / (rank + 8) for rank in range(len(words))))
    common = sorted(COMMON - {"s", "t"})
    titles = [" ".join(word.title() for word in chance.choices(words, k=2)) for _ in range(number)]
    return [(title, _text(chance, title, common, words, rarity, titles)) for title in titles]


def _text(
    chance: random.Random, title: str, common: list[str], words: list[str], rarity: list[float], titles: list[str]
) -> str:
    """Sentences that are half common words; every second one names another document."""
    length, sentences = chance.randint(600, 1_000), [f"{title} is known."]
    while sum(map(len, sentences)) < length:
        said = [*chance.choices(common, k=8), *chance.choices(words, cum_weights=rarity, k=8)]
        chance.shuffle(said)
        if chance.random() < 0.5:
            said.insert(8, chance.choice(titles))
        sentences.append(" ".join(said).capitalize() + ".")
    return " ".join(sentences)[:1_000]


def questions(documents: list[tuple[str, str]]) -> list[str]:
    """Questions that name a document and say four words of each of two others, common ones not counted."""
    chance = random.Random(8)
    asked = []
    for _ in range(QUESTIONS):
        (title, _), (_, one), (_, other) = chance.sample(documents, 3)
        asked.append(
            f"What has {title} to do with {' '.join(one.split()[20:23])} and {' '.join(other.split()[30:33])}?"
        )
    return asked


def folder(path: Path, documents: list[tuple[str, str]]) -> Path:
    """The documents as files, some hundred in each of several folders."""
    for number, (title, text) in enumerate(documents):
        place = path / f"part-{number // 500:02}"
        place.mkdir(parents=True, exist_ok=True)
        (place / f"{title.replace(' ', '-')}-{number}.txt").write_text(text)
    return path


def bare_build(path: Path, documents: list[tuple[str, str]]) -> sqlite3.Connection:
    """The words alone, in one transaction."""
    path.unlink(missing_ok=True)
    database = sqlite3.connect(path)
    database.execute(f"CREATE VIRTUAL TABLE words USING fts5(title, text, tokenize = '{TOKENS}')")
    with database:
        database.executemany("INSERT INTO words VALUES (?, ?)", documents)
    return database


def bare_query(database: sqlite3.Connection, question: str) -> list[Any]:
    """The best 20 passages, over a connection that is open already: the least that a search can cost."""
    from nodes.sources.words import telling

    match = " OR ".join(f'"{word}"' for word in telling(question))
    sql = "SELECT title, text FROM words WHERE words MATCH ? ORDER BY rank LIMIT 20"
    return database.execute(sql, (match,)).fetchall()


def read_only(docs: Path) -> int:
    """What reading the files costs, whoever does it."""
    return sum(len(path.read_bytes()) for path in docs.rglob("*.txt"))


def build(docs: Path) -> None:
    """Our index of the folder, as the first question makes it."""
    from nodes.sources.documents import _refreshed
    from nodes.sources.index import with_index

    assert not with_index(str(docs), lambda index: _refreshed(index, docs)).note


def timed(work: Callable[[], object]) -> float:
    """Seconds that it takes."""
    began = time.perf_counter()
    work()
    return time.perf_counter() - began


@contextmanager
def data_folder(path: Path) -> Iterator[None]:
    """An empty data folder for the while."""
    before = os.environ.get("INTERLOCK_DATA")
    os.environ["INTERLOCK_DATA"] = str(path)
    try:
        yield
    finally:
        os.environ.pop("INTERLOCK_DATA")
        if before is not None:
            os.environ["INTERLOCK_DATA"] = before


def measure() -> list[Row]:
    """One row for indexing, one for a question."""
    documents = texts()
    with tempfile.TemporaryDirectory() as name:
        here = Path(name)
        docs = folder(here / "docs", documents)
        return [_build_row(here, docs, documents), _question_row(here, docs, documents)]


def _build_row(here: Path, docs: Path, documents: list[tuple[str, str]]) -> Row:
    bare, ours, reading = list[float](), list[float](), list[float]()
    for number in range(BUILDS + 1):  # the first of each only warms the disk and the imports
        bare.append(timed(lambda: bare_build(here / "bare.sqlite", documents).close()))
        with data_folder(here / f"data-{number}"):
            ours.append(timed(lambda: build(docs)))
        reading.append(timed(lambda: read_only(docs)))
    base, took, read = (min(seconds[1:]) for seconds in (bare, ours, reading))
    note = (
        f"indexing: wall time, minima of {BUILDS} interleaved pairs; base = one FTS5 table filled from memory in one "
        f"transaction; ours reads {PASSAGES:,} files, which alone takes {read:.2f} s."
    )
    return Row(
        f"index a folder of {PASSAGES:,} passages", f"{base:.2f} s", f"{took:.2f} s", took / base, BUILD_BAR, note
    )


def _question_row(here: Path, docs: Path, documents: list[tuple[str, str]]) -> Row:
    from graphs.research import graph

    bare = bare_build(here / "bare.sqlite", documents)

    async def ask(question: str) -> float:
        began = time.perf_counter()
        result = await graph.ainvoke({"question": question, "docs": [str(docs)]}, context={"mode": "extractive"})
        took = time.perf_counter() - began
        assert result["answer"].report and result["answer"].passages
        return took

    async def pairs() -> list[tuple[float, float]]:
        asked = questions(documents)
        for question in asked[:2]:
            await ask(question)
            bare_query(bare, question)
        return [(timed(lambda q=question: bare_query(bare, q)), await ask(question)) for question in asked]  # type: ignore[misc]

    with data_folder(here / "data-0"), closing(bare):
        base, took = (statistics.median(side) for side in zip(*asyncio.run(pairs()), strict=True))
    note = (
        f"question: wall time, medians of {QUESTIONS} different questions, interleaved; base = an open connection; "
        "ours is the whole guarded graph in extractive mode: a look for changed files, two rounds, merging, quotes, "
        "report."
    )
    claim = f"a question over {PASSAGES:,} passages, report included"
    return Row(claim, f"{base * 1e3:.1f} ms", f"{took * 1e3:.0f} ms", took / base, QUESTION_BAR, note)


if __name__ == "__main__":
    sys.exit(finish(measure()))
