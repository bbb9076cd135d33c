"""Folders of documents: what cannot be read costs only itself and is named; what was read is not read again."""

import asyncio
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from kit import LOOSE
from langgraph.graph import END, START, StateGraph
from source_kit import forbidden, ids, lost, pdf, row, search_documents, write

from guards import guard
from nodes.sources import documents as node
from nodes.sources import folder as folders
from nodes.sources.collecting import MARGIN_SECONDS, going_on
from nodes.sources.parse import parse
from state.evidence import Collected
from state.message import current_trace
from state.research import Research

TEXT = "The tide clock hangs at Market Square."


class Reads:
    """Counts what is read, and reads it."""

    def __init__(self) -> None:
        self.names: list[str] = []

    def __call__(self, base: str, path: str, name: str) -> Any:
        self.names.append(name)
        return parse(base, path, name)

    def taken(self) -> list[str]:
        names, self.names = sorted(self.names), []
        return names


@pytest.fixture
def reads(monkeypatch: pytest.MonkeyPatch) -> Reads:
    counting = Reads()
    monkeypatch.setattr(node, "parse", counting)
    return counting


@pytest.fixture
def docs(tmp_path: Path) -> Path:
    return write(tmp_path / "docs", clock=TEXT, bridge="Anchor Bridge is of steel.")


# What was named and is not there, or may not be read.


@pytest.mark.parametrize(
    "place", ["nowhere", "docs/clock.txt/inside", "a\0b", "x" * 5_000, "~nobody_of_that_name/docs"]
)
async def test_a_folder_that_is_not_there_is_told_with_the_cure(docs: Path, place: str) -> None:
    found = await search_documents("tide clock", docs.parent / place if place[0] != "~" else place)
    assert (found.status, found.reason) == ("failed", "there is no such file or folder: check the path")


async def test_a_missing_folder_costs_only_itself(docs: Path, tmp_path: Path) -> None:
    found = await search_documents("tide clock", tmp_path / "nowhere", docs)
    assert found.status == "ok" and ids(found) == ["docs/clock.txt"]
    assert row(found, "nowhere").status == "failed"


async def test_nothing_named_is_skipped() -> None:
    found = await search_documents("tide clock")
    assert (found.status, found.sources) == ("skipped", ())


async def test_a_folder_that_may_not_be_opened_is_told(docs: Path) -> None:
    with forbidden(docs):
        found = await search_documents("tide clock", docs)
    assert found.status == "failed" and "Permission denied): check its permissions" in found.reason


async def test_a_file_that_may_not_be_opened_costs_only_itself(docs: Path, reads: Reads) -> None:
    with forbidden(docs / "bridge.txt"):
        found = await search_documents("tide clock", docs)
    assert found.status == "ok" and ids(found) == ["clock.txt"]
    assert lost(found) == {"bridge.txt": "it cannot be opened (Permission denied): check its permissions"}
    reads.taken()
    assert not lost(await search_documents("tide clock", docs))  # its permissions are back
    assert reads.taken() == ["bridge.txt"]


async def test_a_folder_inside_that_may_not_be_opened_costs_only_itself(docs: Path) -> None:
    write(docs / "inside", more="tide clock too")
    with forbidden(docs / "inside"):
        found = await search_documents("tide clock", docs)
    assert found.status == "ok" and ids(found) == ["clock.txt"]
    assert "check its permissions" in lost(found)["inside"]


async def test_bad_files_among_good_ones_cost_only_themselves_and_are_listed(docs: Path) -> None:
    (docs / "none.pdf").write_bytes(b"no PDF at all")
    (docs / "locked.pdf").write_bytes(pdf("secret", password=True))
    (docs / "binary.txt").write_bytes(bytes(100))
    (docs / "empty.md").touch()
    with (docs / "huge.txt").open("wb") as file:
        file.truncate(200_000_000)
    found = await search_documents("tide clock", docs)
    assert found.status == "ok" and ids(found) == ["clock.txt"]
    assert set(lost(found)) == {"none.pdf", "locked.pdf", "binary.txt", "empty.md", "huge.txt"}


async def test_a_single_file_is_read_and_a_bad_one_is_the_place_that_failed(docs: Path) -> None:
    assert ids(await search_documents("tide clock", docs / "clock.txt")) == ["clock.txt"]
    (docs / "none.pdf").write_bytes(b"no PDF at all")
    found = await search_documents("tide clock", docs / "none.pdf")
    assert (found.status, found.reason) == ("failed", "it is no PDF, or a damaged one: export it again")
    assert len(found.sources) == 1


async def test_a_file_of_another_kind_is_refused_by_name(docs: Path) -> None:
    (docs / "song.mp3").write_bytes(b"x")
    found = await search_documents("tide clock", docs / "song.mp3")
    assert found.status == "refused" and "files like '.mp3' cannot be read: use .csv" in found.reason


async def test_an_empty_folder_says_what_it_needs(tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    found = await search_documents("tide clock", tmp_path / "empty")
    assert found.status == "skipped" and "no file in it can be read: it needs .csv" in found.reason


# What lies outside, in circles, in masses.


async def test_links_and_hidden_files_are_passed_over(docs: Path, tmp_path: Path) -> None:
    outside = write(tmp_path / "outside", secret="a tide clock of my own")
    (docs / "out").symlink_to(outside)
    (docs / "secret.txt").symlink_to(outside / "secret.txt")
    (docs / "round").symlink_to(docs)
    (docs / "dangling.txt").symlink_to(tmp_path / "nowhere")
    (docs / ".hidden.txt").write_text(TEXT)
    write(docs / ".git", config=TEXT)
    found = await search_documents("tide clock", docs)
    assert ids(found) == ["clock.txt"] and not lost(found)


async def test_a_named_link_is_followed_and_a_circle_is_told(docs: Path, tmp_path: Path) -> None:
    (tmp_path / "link").symlink_to(docs)
    assert ids(await search_documents("tide clock", tmp_path / "link")) == ["clock.txt"]
    (tmp_path / "circle").symlink_to(tmp_path / "circle")
    assert (await search_documents("tide clock", tmp_path / "circle")).status == "failed"


async def test_a_pipe_never_hangs_the_search(docs: Path) -> None:
    os.mkfifo(docs / "pipe.txt")
    assert ids(await search_documents("tide clock", docs)) == ["clock.txt"]
    found = await search_documents("tide clock", docs / "pipe.txt")
    assert (found.status, found.reason) == ("refused", "it is neither a file nor a folder: check the path")


async def test_folders_that_are_too_deep_are_listed(docs: Path) -> None:
    deep = docs
    for _ in range(folders.DEPTH + 1):
        deep = write(deep / "d", note="tide")
    found = await search_documents("tide", docs)
    assert list(lost(found)) == ["/".join("d" * (folders.DEPTH + 1))]
    assert "name one of them" in lost(found)[found.sources[1].id]


async def test_of_too_many_files_the_first_are_read_and_the_place_says_so(
    docs: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(folders, "FILES", 1)
    found = await search_documents("tide clock steel", docs)
    assert len(ids(found)) == 1 and found.sources[0].status == "ok"
    assert found.sources[0].reason == "only its first 1 files were read: name folders inside it"


@pytest.mark.parametrize(
    "name",
    [
        "new\nline.txt",
        'it\'s "quoted".txt',
        "Größe – 時計.txt",
        "a]b[c.txt",
        "-rf *.txt",
        "%00#?&.txt",
        "'; DROP TABLE x.txt",
    ],
)
async def test_odd_names_are_kept_as_they_are(tmp_path: Path, name: str) -> None:
    (tmp_path / "docs").mkdir()
    (tmp_path / "docs" / name).write_text(TEXT)
    found = await search_documents("tide clock", tmp_path / "docs")
    assert ids(found) == [name] and found.findings[0].place == str(tmp_path / "docs" / name)
    assert "\n" not in found.findings[0].title


async def test_a_name_that_is_no_valid_text_is_written_so_that_it_is(docs: Path) -> None:
    write(docs, **{os.fsdecode(b"bad\xff"): "a second tide clock"})
    found = await search_documents("tide clock", docs)
    assert sorted(ids(found)) == ["bad\\xff.txt", "clock.txt"] and not lost(found)
    Collected.model_validate_json(found.model_dump_json())


async def test_ids_stay_unique_over_several_folders(tmp_path: Path) -> None:
    one, two = write(tmp_path / "a" / "docs", clock=TEXT), write(tmp_path / "b" / "docs", clock=TEXT)
    three = write(tmp_path / "c", clock=TEXT)
    found = await search_documents("tide clock", one, two, three, three / "clock.txt")
    assert set(ids(found)) == {f"{one}/clock.txt", f"{two}/clock.txt", "c/clock.txt"}


# What was read is not read again until it changes.


async def test_a_second_question_reads_nothing_again(docs: Path, reads: Reads) -> None:
    await search_documents("tide clock", docs)
    assert reads.taken() == ["bridge.txt", "clock.txt"]
    with forbidden(docs / "clock.txt"):  # its permissions changed, its text did not
        pass
    await search_documents("tide clock", docs)
    reads.taken()
    found = await search_documents("of what is Anchor Bridge?", docs)
    assert reads.taken() == [] and ids(found) == ["bridge.txt"]


async def test_a_file_that_cannot_be_read_is_not_tried_again_until_it_changes(docs: Path, reads: Reads) -> None:
    (docs / "none.pdf").write_bytes(b"no PDF at all")
    await search_documents("tide clock", docs)
    reads.taken()
    assert "none.pdf" in lost(await search_documents("tide clock", docs))
    assert reads.taken() == []
    (docs / "none.pdf").write_bytes(pdf("a tide clock in a PDF"))
    found = await search_documents("tide clock", docs)
    assert reads.taken() == ["none.pdf"] and "none.pdf" in ids(found) and not lost(found)


async def test_changed_renamed_new_and_deleted_files_are_noticed(docs: Path, reads: Reads) -> None:
    write(docs, old="the lighthouse")
    await search_documents("tide clock", docs)
    reads.taken()
    stat = (docs / "clock.txt").stat()
    (docs / "clock.txt").write_text(TEXT.replace("tide", "moon"))  # of the same length, and dated back
    os.utime(docs / "clock.txt", ns=(stat.st_atime_ns, stat.st_mtime_ns))
    (docs / "bridge.txt").rename(docs / "renamed.txt")
    (docs / "old.txt").unlink()
    write(docs, new="a new pier")
    found = await search_documents("moon clock, steel bridge, lighthouse, pier, tide", docs)
    assert set(ids(found)) == {"clock.txt", "renamed.txt", "new.txt"}
    assert reads.taken() == ["clock.txt", "new.txt", "renamed.txt"]


async def test_the_second_round_of_a_run_looks_for_no_changes_and_the_next_run_does(docs: Path) -> None:
    token = current_trace.set("run-1")
    await search_documents("tide clock", docs)
    write(docs, new="one more tide clock")
    assert ids(await search_documents("tide clock", docs)) == ["clock.txt"]
    current_trace.set("run-2")
    assert len(ids(await search_documents("tide clock", docs))) == 2
    current_trace.reset(token)


# The clock.


def drawing() -> StateGraph[Any, Any, Any, Any]:
    graph: StateGraph[Any, Any, Any, Any] = StateGraph(Research)
    graph.add_node("documents", node.documents)
    graph.add_edge(START, "documents")
    graph.add_edge("documents", END)
    return graph


async def test_when_the_time_is_over_what_was_read_is_kept_and_the_place_says_so(
    docs: Path, reads: Reads, monkeypatch: pytest.MonkeyPatch
) -> None:
    def until_the_end(base: str, path: str, name: str) -> Any:
        while name == "clock.txt" and going_on():
            pass
        return reads(base, path, name)

    monkeypatch.setattr(node, "parse", until_the_end)
    asked = {"question": "tide clock, steel bridge", "docs": [str(docs)]}
    result = await guard(drawing(), LOOSE.but(timeout=MARGIN_SECONDS + 0.3)).ainvoke(asked)
    (found,) = result["collected"]
    assert ids(found) == ["bridge.txt"] and result["run"].outcome == "complete"
    assert found.status == "timed out" and "ask again, it goes on from there" in found.reason
    reads.taken()
    monkeypatch.setattr(node, "parse", reads)
    again = await search_documents("tide clock, steel bridge", docs)
    assert sorted(ids(again)) == ["bridge.txt", "clock.txt"] and reads.taken() == ["clock.txt"]


async def test_a_cancelled_search_stops_reading(docs: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    began, ended = asyncio.Event(), asyncio.Event()
    loop = asyncio.get_running_loop()

    def long(base: str, path: str, name: str) -> Any:
        loop.call_soon_threadsafe(began.set)
        while going_on():
            pass
        loop.call_soon_threadsafe(ended.set)
        return parse(base, path, name)

    monkeypatch.setattr(node, "parse", long)
    run = asyncio.ensure_future(guard(drawing(), LOOSE).ainvoke({"question": "tide", "docs": [str(docs)]}))
    await began.wait()
    run.cancel()
    await asyncio.wait([run])
    assert run.cancelled()
    await asyncio.wait_for(ended.wait(), 60)


# Other processes, and sudden death.

CHILD = """
import asyncio, os, sys
from nodes.sources import documents, index
index.BATCH, index.BUSY_TRIES = 20, 200  # a slow disk is no reason to give up
print("ready", flush=True)
sys.stdin.readline()
def parse(base, path, name, read=documents.parse):
    if name == os.environ.get("DIE_AT"):
        print("dying", flush=True)
        sys.stdin.readline()
    return read(base, path, name)
documents.parse = parse
found = asyncio.run(documents.documents({"question": "bridge", "docs": [sys.argv[1]]}))["collected"][0]
print(found.status, len(found.findings), flush=True)
"""


def child(docs: Path, **environment: str) -> "subprocess.Popen[str]":
    return subprocess.Popen(
        [sys.executable, "-c", CHILD, str(docs)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        env={**os.environ, **environment},
    )


def say(process: "subprocess.Popen[str]") -> None:
    assert process.stdin is not None
    process.stdin.write("go\n")
    process.stdin.flush()


def line(process: "subprocess.Popen[str]") -> str:
    assert process.stdout is not None
    return process.stdout.readline().strip()


async def test_a_process_that_is_killed_while_it_reads_loses_no_more_than_its_last_batch(
    tmp_path: Path, reads: Reads
) -> None:
    docs = write(tmp_path / "docs", **{f"n{number:03}": f"bridge {number}" for number in range(100)})
    process = child(docs, DIE_AT="n050.txt")
    assert line(process) == "ready"
    say(process)
    assert line(process) == "dying"
    process.kill()
    process.communicate()
    found = await search_documents("bridge 99", docs)
    assert found.status == "ok" and ids(found)[0] == "n099.txt"
    assert reads.taken() == [f"n{number:03}.txt" for number in range(40, 100)]


async def test_two_processes_may_index_the_same_folder_at_once(tmp_path: Path, reads: Reads) -> None:
    docs = write(tmp_path / "docs", **{f"n{number:03}": f"bridge {number}" for number in range(300)})
    processes = [child(docs), child(docs)]
    assert [line(process) for process in processes] == ["ready", "ready"]
    for process in processes:
        say(process)
    assert [line(process) for process in processes] == ["ok 20", "ok 20"]
    for process in processes:
        process.communicate()
    found = await search_documents("bridge 299", docs)
    assert ids(found)[0] == "n299.txt" and len(set(ids(found))) == 20 and reads.taken() == []
