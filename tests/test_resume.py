"""A run that was killed goes on in another process: same report, and no finished source is asked again.

The processes are real, and so is SIGKILL. Runs that must die at a certain place wait there until it comes.
"""

import asyncio
import contextlib
import json
import os
import shutil
import sqlite3
import subprocess
import sys
import threading
import time
from collections import Counter
from collections.abc import Callable, Coroutine, Iterator
from dataclasses import replace
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from itertools import takewhile
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

import pytest
from forks import Fork

from interlock.exits import BadUsage
from interlock.runner import Job, resume, start
from interlock.store import Store, open_store
from state.answer import Answer
from state.research import Context

QUESTION = "How many passengers did the Harbour Line carry, and what did the Harbour Line cost?"
PAGE = "<html><title>Gazette</title><body><p>The Harbour Line cost 48 million crowns in 2019.</p></body></html>"
DAY = 86_400.0


class Pages:
    """A page and a search endpoint below any path. It counts what it is asked, and can hold an answer back.

    Attributes:
        asked: Requests by path.
        held: The path, and which request for it, that gets no answer until `release`; `arrived` is set then.
    """

    def __init__(self) -> None:
        self.asked = Counter[str]()
        self.held = ("", 0)
        self.arrived, self.release = threading.Event(), threading.Event()
        self.server = ThreadingHTTPServer(("127.0.0.1", 0), type("Handler", (_Handler,), {"pages": self}))
        self.url = f"http://127.0.0.1:{self.server.server_port}"

    def of(self, name: str) -> Counter[str]:
        """What one run has asked."""
        return Counter({path: count for path, count in self.asked.items() if path.startswith(f"/{name}/")})


class _Handler(BaseHTTPRequestHandler):
    pages: Pages

    def do_GET(self) -> None:
        path, pages = self.path.partition("?")[0], self.pages
        pages.asked[path] += 1
        if pages.held == (path, pages.asked[path]):
            pages.arrived.set()
            pages.release.wait(30)
        searched = path.endswith("/search")
        found = {
            "url": f"{pages.url}/{path.split('/')[1]}/page",
            "title": "Gazette",
            "content": "The line carried 9,100 people.",
        }
        self.send_response(200)
        self.send_header("Content-Type", "application/json" if searched else "text/html")
        self.end_headers()
        with contextlib.suppress(ConnectionError):  # who asked was killed
            self.wfile.write((json.dumps({"results": [found]}) if searched else PAGE).encode())

    def log_message(self, *args: Any) -> None:
        pass


@pytest.fixture
def pages() -> Iterator[Pages]:
    served = Pages()
    thread = threading.Thread(target=served.server.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True)
    thread.start()
    yield served
    served.release.set()
    served.server.shutdown()
    served.server.server_close()
    thread.join()


@pytest.fixture
def job(tmp_path: Path, pages: Pages) -> Job:
    docs = tmp_path / "docs"
    docs.mkdir()
    (docs / "report.md").write_text("# Report\n\nThe Harbour Line carried 8,400 passengers in 2018.\n")
    (docs / "budget.md").write_text(
        "# Budget\n\nThe Harbour Line cost 52 million crowns in 2019. Berta Lindqvist signed.\n"
    )
    database = sqlite3.connect(tmp_path / "facts.sqlite")
    database.execute("CREATE TABLE notes (id INTEGER PRIMARY KEY, text TEXT)")
    database.execute("INSERT INTO notes (text) VALUES ('The Harbour Line carried 8,500 passengers.')")
    database.commit()
    database.close()
    asked: Any = {"question": QUESTION, "docs": [str(docs)], "databases": [str(tmp_path / "facts.sqlite")]}
    return Job(asked, Context(mode="extractive"))


def online(job: Job, pages: Pages, name: str) -> Job:
    """The same job under a name, with a page and a search endpoint of its own."""
    where = f"{pages.url}/{name}"
    return replace(job, question={**job.question, "urls": [f"{where}/page"], "search": where}, id=name)


def report(answer: Answer) -> str:
    """What must be the same: all but names and times."""
    times = {"spent": {"seconds"}, "sources": {"__all__": {"seconds"}}, "missing": {"__all__": {"seconds"}}}
    text = answer.model_dump_json(exclude={"id": True, "trace_id": True, **times})  # type: ignore[arg-type]
    return text.replace(f"/{answer.id}", "")


# What the forks do.


def ask(jobs: list[Job], data: Path, places: dict[str, int], told: Connection) -> None:
    """Ask questions; some get no further than their n-th save (0: not even that one)."""

    async def main() -> None:
        async with open_store() as store:
            saves = Saves(store, places, told)

            async def one(job: Job) -> None:
                answer = await start(job, store, lambda event: None)
                told.send((answer, saves.made[job.id]))

            await asyncio.gather(*map(one, jobs))

    within(data, main)


def go_on(names: list[str], data: Path, places: dict[str, int], ahead: float, told: Connection) -> None:
    """Go on with runs, on a clock that is ahead by some seconds."""
    now = time.time
    time.time = lambda: now() + ahead

    async def main() -> None:
        async with open_store() as store:
            saves = Saves(store, places, told)
            for run in await store.runs():
                saves.name(run.id, run.name)

            async def one(name: str) -> None:
                left = list[float]()
                answer = await resume(name, store, lambda event: left.append((event.deadline or 0.0) - time.time()))
                told.send((answer, left))

            await asyncio.gather(*map(one, names))

    within(data, main)


def within(data: Path, main: Callable[[], Coroutine[Any, Any, None]]) -> None:
    os.environ.update({"INTERLOCK_DATA": str(data), "INTERLOCK_ALLOW_LOOPBACK": "1", "LANGSMITH_TRACING": "false"})
    asyncio.run(main())


class Saves:
    """Watches what a store saves, and stops runs for good after some of their saves."""

    def __init__(self, store: Store, places: dict[str, int], told: Connection) -> None:
        self.places, self.told = places, told
        self.made: dict[str, list[str]] = {}
        self.names: dict[str, str] = {}
        self.begin, self.put, self.put_writes = store.begin, store.saver.aput, store.saver.aput_writes
        vars(store)["begin"] = self.on_begin
        vars(store.saver).update(aput=self.on_put, aput_writes=self.on_put_writes)

    def name(self, run: str, name: str) -> None:
        self.names[run], self.made[name] = name, []

    async def on_begin(self, run: str, name: str, *more: str) -> None:
        self.name(run, name)
        await self.begin(run, name, *more)
        await self.reached(name)

    async def on_put(self, config: Any, *more: Any) -> Any:
        done = await self.put(config, *more)
        await self.saved(config, "checkpoint")
        return done

    async def on_put_writes(self, config: Any, writes: Any, *more: Any) -> None:
        await self.put_writes(config, writes, *more)
        found = [entry.collector for name, value in writes if name == "collected" for entry in value]
        await self.saved(config, found[0] if found else "node")

    async def saved(self, config: Any, what: str) -> None:
        name = self.names[config["configurable"]["thread_id"]]
        self.made[name].append(what)
        await self.reached(name)

    async def reached(self, name: str) -> None:
        if self.places.get(name) == len(self.made[name]):
            self.told.send((name, self.made[name]))
            await asyncio.Event().wait()


# How the tests start them.


def finished(job: Job, data: Path) -> tuple[Answer, list[str]]:
    """The answer of a run that nobody disturbs, and what it saved."""
    fork = Fork(ask, [job], data, {})
    ((answer, saves),) = fork.hear(1)
    fork.join()
    return answer, saves


def resumed(names: list[str], data: Path, ahead: float = 0.0) -> dict[str, tuple[Answer, list[float]]]:
    """By run: its answer, and the seconds that it had left at each event."""
    fork = Fork(go_on, names, data, {}, ahead)
    told = {answer.id: (answer, left) for answer, left in fork.hear(len(names))}
    fork.join()
    return told


def test_a_run_killed_after_any_save_ends_in_the_same_report_and_asks_no_finished_source_again(
    job: Job, pages: Pages, data_folder: Path
) -> None:
    whole, saves = finished(online(job, pages, "whole"), data_folder)
    assert whole.outcome == "complete" and len({quote.source_id for quote in whole.quotes}) >= 3
    assert saves.count("checkpoint") >= 10 and saves.count("web") == 2
    places = {f"run{place:02}": place for place in range(len(saves) + 1)}
    fork = Fork(ask, [online(job, pages, name) for name in places], data_folder, places)
    made = dict(fork.hear(len(places)))
    fork.kill()
    answers = resumed(list(places), data_folder)
    for name in places:
        assert report(answers[name][0]) == report(whole), (name, made[name])
        step = set(takewhile(lambda save: save != "checkpoint", reversed(made[name])))
        if "web" in step or not step & {"documents", "database"}:  # else it died while it read pages
            assert list(pages.of(name).values()) == list(pages.of("whole").values()), (name, made[name])


def test_what_was_collected_before_a_kill_is_not_missed_when_its_sources_are_gone(
    job: Job, pages: Pages, data_folder: Path, tmp_path: Path
) -> None:
    """It dies in the second round: folder and database are done, the search endpoint holds its last answer back."""
    whole, saves = finished(online(job, pages, "whole"), data_folder)
    second = [place for place, save in enumerate(saves) if save in ("documents", "database", "web")][3]
    pages.held = ("/run/search", pages.asked["/whole/search"])
    fork = Fork(ask, [online(job, pages, "run")], data_folder, {"run": second + 2})
    fork.hear(1)
    assert pages.arrived.wait(30)
    fork.kill()
    shutil.rmtree(tmp_path / "docs")
    (tmp_path / "facts.sqlite").unlink()
    ((answer, _),) = resumed(["run"], data_folder).values()
    assert report(answer) == report(whole)


def test_a_run_that_is_killed_twice_and_resumed_days_later_has_the_time_left_that_it_had(
    job: Job, pages: Pages, data_folder: Path
) -> None:
    whole, saves = finished(online(job, pages, "whole"), data_folder)
    first = saves.index("checkpoint", saves.index("web"))
    fork = Fork(ask, [online(job, pages, "run")], data_folder, {"run": first + 1})
    fork.hear(1)
    fork.kill()
    fork = Fork(go_on, ["run"], data_folder, {"run": 4}, DAY)
    fork.hear(1)
    fork.kill()
    ((answer, left),) = resumed(["run"], data_folder, 3 * DAY).values()
    assert report(answer) == report(whole) and answer.spent.seconds < 60
    assert left and all(240 < seconds <= 300 for seconds in left)


async def test_a_run_that_a_living_process_works_on_is_not_resumed(job: Job, pages: Pages, data_folder: Path) -> None:
    fork = Fork(ask, [online(job, pages, "run")], data_folder, {"run": 3})
    fork.hear(1)
    async with open_store(data_folder) as store:
        assert (await store.find("run")).alive
        with pytest.raises(BadUsage, match="being worked on now: wait until it ends"):
            await resume("run", store, lambda event: None)
        fork.kill()
        assert not (await store.find("run")).alive
        assert (await resume("run", store, lambda event: None)).quotes


def test_the_command_line_resumes_what_was_killed_while_it_collected(
    job: Job, pages: Pages, data_folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(Path(__file__).parent.parent)
    monkeypatch.delenv("INTERLOCK_ALLOW_LOOPBACK", raising=False)
    docs, database, url = job.question["docs"][0], job.question["databases"][0], f"{pages.url}/run/page"
    pages.held = ("/run/page", 1)
    asked = ["research", QUESTION, "--docs", docs, "--db", database, "--url", url, "--allow-loopback", "--json"]
    with subprocess.Popen([sys.executable, "-m", "interlock", *asked], stderr=subprocess.PIPE, text=True) as killed:
        assert killed.stderr is not None and pages.arrived.wait(30)
        lines = takewhile(lambda line: not line.startswith("documents: 2 findings"), killed.stderr)
        assert killed.poll() is None, list(lines)
        killed.kill()
    again = [sys.executable, "-m", "interlock", "resume", asyncio.run(last(data_folder)), "--json"]
    answer = json.loads(subprocess.run(again, check=True, capture_output=True, timeout=60).stdout)
    assert answer["outcome"] == "complete" and pages.asked["/run/page"] == 2
    assert {quote["source_id"] for quote in answer["quotes"]} >= {"report.md", "budget.md"}


async def last(data: Path) -> str:
    async with open_store(data) as store:
        return (await store.runs(1))[0].id[:8]
