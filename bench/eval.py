"""Eval: the table of research quality, measured from outside through `interlock research --questions`.

    python -m bench.eval [wiki] [one] [2wiki] [multihop] [10q] [hotpot] [ramdocs] [faults]    (make eval ARGS=...)

It reads ../shared/data/research beside the repo, or the folder in INTERLOCK_EVAL_DATA: public question sets that are
not part of the product. The exit code is 1 when a bar is missed, 2 when the data is not there.
"""

import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from functools import cache
from pathlib import Path
from typing import Any

from bench.figures import Figure, all_within, both_sides, covered, exact_quotes, recall, show, sources_found
from bench.places import Entry, Places, one_folder, silent_server, three_places

Row = dict[str, Any]
Answers = list[tuple[Row, Row, Places]]
"""Question, JSON answer, and the places it was answered from."""

FAULT_QUESTIONS = 12


def data_folder() -> Path:
    """Where the question sets are."""
    beside = Path(__file__).resolve().parents[2] / "shared" / "data" / "research"
    return Path(os.environ.get("INTERLOCK_EVAL_DATA") or beside)


@cache
def rows(name: str) -> tuple[Row, ...]:
    """The lines of one of its files."""
    with (data_folder() / name).open() as file:
        return tuple(json.loads(line) for line in file)


@cache
def wiki_entries() -> tuple[Entry, ...]:
    return tuple(Entry(row["id"], row["title"], row["text"]) for row in rows("wiki_pool/corpus.jsonl"))


@cache
def articles() -> tuple[Entry, ...]:
    def text(row: Row) -> str:
        return "\n\n".join(filter(None, (row["summary"], *row["facts"])))

    found = rows("multihop_lite/docs.jsonl")
    return tuple(Entry(row["id"], row["title"], text(row), row["source"], row["published_at"][:10]) for row in found)


def ask(questions: Sequence[Row], places: Places, *options: str) -> Answers:
    """Ask all questions of these places through the command line."""
    with tempfile.TemporaryDirectory() as folder:
        asked, answered = Path(folder, "questions.jsonl"), Path(folder, "answers.jsonl")
        lines = (json.dumps({"id": f"{n}", "question": row["question"]}) for n, row in enumerate(questions))
        asked.write_text("\n".join(lines))
        command = ["research", "--questions", str(asked), "--jsonl", str(answered), "--quiet", "--allow-loopback"]
        done = subprocess.run(
            [sys.executable, "-m", "interlock", *command, "--mode", "extractive", *places.options, *options],
            env={**os.environ, "INTERLOCK_DATA": f"{folder}/data"},
        )
        if done.returncode not in (0, 3):
            raise SystemExit(f"interlock research ended with exit code {done.returncode}")
        answers = {answer["id"]: answer for answer in map(json.loads, answered.read_text().splitlines())}
    return [(row, answers[f"{n}"], places) for n, row in enumerate(questions)]


@contextmanager
def room() -> Iterator[Path]:
    with tempfile.TemporaryDirectory() as folder:
        yield Path(folder)


@cache
def wiki_answers(three: bool = True) -> Answers:
    with room() as folder, (three_places if three else one_folder)(folder, wiki_entries()) as places:
        return ask(rows("wiki_pool/questions.jsonl"), places)


def wiki() -> Iterator[Figure]:
    found = wiki_answers()
    yield Figure("wiki_pool, three collectors: R@5", recall(found, 5), 0.78)
    yield Figure("wiki_pool, three collectors: all@8", all_within(found, 8), 0.68)
    yield Figure("quote fidelity: wiki_pool", exact_quotes(found), 1.0)


def two_wiki() -> Iterator[Figure]:
    found = [entry for entry in wiki_answers() if entry[0]["dataset"] == "2wiki"]
    yield Figure("2Wiki: all@8", all_within(found, 8), 0.82)


def one_index() -> Iterator[Figure]:
    loss = recall(wiki_answers(three=False), 5) - recall(wiki_answers(), 5)
    yield Figure("merge loss against one index (R@5)", loss, 0.01, at_most=True)


def hotpot() -> Iterator[Figure]:
    found = [entry for entry in wiki_answers() if entry[0].get("gold_sentences")]
    precision, evidence = covered(found)
    yield Figure("HotpotQA, 8 quotes: citation precision", precision, 0.22)
    yield Figure("HotpotQA, 8 quotes: evidence recall", evidence, 0.80)


def multihop() -> Iterator[Figure]:
    asked = [
        {**row, "gold": sorted({each["url"] for each in row["evidence"]})}
        for row in rows("multihop_lite/questions.jsonl")
        if row["evidence"]
    ]
    with room() as folder, three_places(folder, articles()) as places:
        found = ask(asked, places)
    yield Figure("multihop_lite: recall@10", recall(found, 10), 0.92)
    yield Figure("multihop_lite: all@10", all_within(found, 10), 0.78)
    yield Figure("quote fidelity: multihop_lite", exact_quotes(found), 1.0)


def quarterly() -> Iterator[Figure]:
    folder = data_folder() / "sec10q" / "docs"
    names = sorted(path.name for path in folder.glob("*.pdf"))
    found = ask(rows("sec10q/questions.jsonl"), Places(("--docs", str(folder)), {}, {name: name for name in names}))
    several = [entry for entry in found if entry[0]["type"] == "Multi-Doc RAG"]
    single = [entry for entry in found if entry[0]["type"] != "Multi-Doc RAG"]
    yield Figure("sec10q, several documents: found among the first 5", sources_found(several, names, 5), 0.97)
    yield Figure("sec10q, one document: found among the first 5", sources_found(single, names, 5), None)
    yield Figure("sec10q, one document: the first", sources_found(single, names, 1), None)


def ramdocs() -> Iterator[Figure]:
    found: Answers = []
    for row in rows("ramdocs/questions.jsonl"):
        if len({each["answer"].lower() for each in row["documents"] if each["type"] != "noise"}) > 1:
            entries = [Entry(f"{n}", "", each["text"]) for n, each in enumerate(row["documents"])]
            with room() as folder, one_folder(folder, entries) as places:
                found += ask_here(row, places)
    both, silent = both_sides(found)
    yield Figure("RAMDocs: both sides shown", both, 0.90)
    yield Figure("RAMDocs: one picked silently", silent, 0.08, at_most=True)
    yield Figure("quote fidelity: RAMDocs", exact_quotes(found), 1.0)


def ask_here(row: Row, places: Places) -> Answers:
    """One question through the command line in this process: each has a folder of its own."""
    from interlock.cli import main

    with room() as folder:
        os.environ["INTERLOCK_DATA"] = f"{folder}/data"
        out = folder / "answer.json"
        code = main(
            ["research", row["question"], *places.options, "--quiet", "--mode", "extractive", "--out", str(out)]
        )
        if code not in (0, 3):
            raise SystemExit(f"interlock research ended with exit code {code}")
        return [(row, json.loads(out.read_text()), places)]


def faults() -> Iterator[Figure]:
    """The same questions with an irrelevant folder, a database that is none and a server that never answers."""
    asked = rows("wiki_pool/questions.jsonl")[::11][:FAULT_QUESTIONS]
    noise = [
        Entry(f"noise{n}", row["title"], row["summary"] or "") for n, row in enumerate(rows("multihop_lite/docs.jsonl"))
    ]
    with ExitStack() as stack:
        folder, other = stack.enter_context(room()), stack.enter_context(room())
        places = stack.enter_context(three_places(folder, wiki_entries()))
        sound = ask(asked, places)
        noisy = stack.enter_context(one_folder(other / "noise", noise))
        slow = stack.enter_context(silent_server())
        (other / "broken.sqlite").write_bytes(b"this is no database" * 100)
        more = Places(
            places.options, places.texts, {**places.ids, **{f"{folder}/docs/{k}": v for k, v in places.ids.items()}}
        )
        hurt = ask(asked, more, *noisy.options, "--db", str(other / "broken.sqlite"), "--url", slow)
    yield Figure("recall lost to one irrelevant, one failing, one slow", recall(sound, 5) - recall(hurt, 5), 0.0, True)
    named = [
        all(word in answer["report"] + json.dumps(answer["missing"]) for word in ("broken.sqlite", slow))
        for _, answer, _ in hurt
    ]
    yield Figure("the report names what failed", sum(named) / len(named), 1.0)


PARTS: dict[str, Callable[[], Iterator[Figure]]] = {
    "wiki": wiki,
    "2wiki": two_wiki,
    "one": one_index,
    "multihop": multihop,
    "10q": quarterly,
    "hotpot": hotpot,
    "ramdocs": ramdocs,
    "faults": faults,
}


def main(wanted: Sequence[str]) -> int:
    if not (data_folder() / "wiki_pool").is_dir():
        print(f"There are no question sets in {data_folder()}: set INTERLOCK_EVAL_DATA to their folder.")
        return 2
    unknown = set(wanted) - PARTS.keys()
    if unknown:
        print(f"There is no part '{', '.join(unknown)}': choose from {', '.join(PARTS)}.")
        return 2
    figures = []
    for name in wanted or PARTS:
        print(f"{name} ...", file=sys.stderr, flush=True)
        figures += PARTS[name]()
    print(show(figures))
    return int(not all(figure.passed for figure in figures))


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
