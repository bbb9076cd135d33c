"""A run is recorded from its first to its last moment, belongs to one worker, and is never lost to its record."""

import asyncio
import contextlib
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
from kit import LOOSE
from langgraph.graph import END, START, StateGraph
from langgraph.types import interrupt
from typing_extensions import TypedDict

from guards import guard, request_stop
from guards.running.scope import _requests
from interlock.events import Event
from interlock.exits import BadUsage
from interlock.runner import Job, Paused, resume, start
from interlock.store import Store, open_store
from state.answer import Answer
from state.research import Context, Question, Research, Result


@pytest.fixture
async def store(data_folder: Path) -> AsyncIterator[Store]:
    async with open_store(data_folder) as opened:
        yield opened


@pytest.fixture
def job(tmp_path: Path) -> Job:
    (tmp_path / "report.md").write_text("# Report\n\nThe Harbour Line cost 52 million crowns in 2019.\n")
    return Job({"question": "What did the Harbour Line cost?", "docs": [str(tmp_path)]}, Context(mode="extractive"))


class Published(TypedDict):
    answer: Answer


async def publish(state: Research) -> Published:
    text = state.get("question", "")
    if "unpublishable" in text:
        raise ValueError(text)
    return {"answer": Answer(question=text, outcome="complete", mode="extractive", report="A report.")}


class Small:
    """A small guarded graph in the place of the research graph.

    Attributes:
        begun: How often its first node, which waits for `go` and asks a person when `asks` is set, has begun.
    """

    def __init__(self) -> None:
        self.begun, self.heard, self.asks = 0, list[Any](), False
        self.reached, self.go = asyncio.Event(), asyncio.Event()

    def graph(self) -> Any:
        async def wait(state: Question) -> dict[str, Any]:
            self.begun += 1
            self.reached.set()
            if self.asks:
                self.heard.append(interrupt({"which": ["a", "b"]}))
            await self.go.wait()
            return {"queries": []}

        drawing: Any = StateGraph(Research, input_schema=Question, output_schema=Result)
        drawing.add_node("wait", wait)
        drawing.add_node("publish", publish)
        for one, other in [(START, "wait"), ("wait", "publish"), ("publish", END)]:
            drawing.add_edge(one, other)
        return guard(drawing, LOOSE)


@pytest.fixture
def small(monkeypatch: pytest.MonkeyPatch) -> Small:
    made = Small()
    monkeypatch.setattr("graphs.research.graph", made.graph())
    return made


def ignore(event: Event) -> None:
    pass


async def test_a_run_is_recorded_and_resuming_it_shows_its_answer_and_does_nothing(store: Store, job: Job) -> None:
    events: list[Event] = []
    answer = await start(job, store, events.append)
    (run,) = await store.runs()
    assert (run.id, run.outcome, run.question) == (answer.id, "complete", job.question["question"])
    assert {event.run for event in events} == {run.id} and "52 million" in answer.report
    assert await resume(run.id[:10], store, pytest.fail) == answer == await store.answer(run.id)


async def test_an_answer_has_the_name_that_its_question_was_given(store: Store, small: Small) -> None:
    small.go.set()
    answer = await start(Job({"question": "Why?"}, Context(), id="q7"), store, ignore)
    assert answer.id == "q7" and await resume("q7", store, ignore) == answer


async def test_a_question_is_listed_without_what_nobody_may_see(store: Store, small: Small) -> None:
    small.go.set()
    await start(Job({"question": "Whose is 4111-1111-1111-1111?"}, Context()), store, ignore)
    (run,) = await store.runs()
    assert "4111" not in run.question and run.question.startswith("Whose is")


async def test_a_run_whose_publishing_is_lost_has_an_answer_that_says_so(store: Store, small: Small) -> None:
    small.go.set()
    answer = await start(Job({"question": "unpublishable: 4111-1111-1111-1111"}, Context()), store, ignore)
    (run,) = await store.runs()
    assert (answer.id, run.id) == (run.id, answer.id) and run.outcome == answer.outcome == "stopped"
    assert "publish" in answer.stop_reason and [lost.what for lost in answer.missing] == ["publish"]
    assert answer.question.startswith("unpublishable") and answer.stop_reason in answer.report
    assert "4111" not in answer.model_dump_json() and await resume(run.id, store, ignore) == answer


async def test_a_stopped_run_is_kept_with_what_it_found(store: Store, job: Job) -> None:
    def stop(event: Event) -> None:
        if event.stage == "merge":
            request_stop(event.run, "stopped by you")

    answer = await start(job, store, stop)
    (run,) = await store.runs()
    assert (run.outcome, run.stop_reason) == ("stopped", "stopped by you")
    assert answer.quotes and await store.answer(run.id) == answer
    assert run.id not in _requests


async def test_a_run_is_worked_on_by_one_at_a_time(store: Store, small: Small) -> None:
    task = asyncio.create_task(start(Job({"question": "Why?"}, Context()), store, ignore))
    await small.reached.wait()
    (run,) = await store.runs()
    with pytest.raises(BadUsage, match=f"run {run.id} is being worked on now"):
        await resume(run.id, store, ignore)
    small.go.set()
    assert run.alive and (await task).outcome == "complete" and small.begun == 1


async def test_of_two_that_resume_a_run_one_is_refused_and_no_result_is_lost(store: Store, small: Small) -> None:
    await cut(store, small)
    (run,) = await store.runs()
    small.go.set()
    results = await asyncio.gather(*(resume(run.id, store, ignore) for _ in range(2)), return_exceptions=True)
    assert {type(result) for result in results} == {Answer, BadUsage} and small.begun == 2
    assert await store.answer(run.id) in results


async def cut(store: Store, small: Small, **limits: float) -> None:
    """A run whose process went away while its first node was at work."""
    task = asyncio.create_task(start(Job({"question": "Why?"}, Context(), limits=limits), store, ignore))
    await small.reached.wait()
    task.cancel()
    with contextlib.suppress(asyncio.CancelledError):
        await task


async def test_a_run_that_waits_for_a_person_goes_on_with_the_answer_alone(store: Store, small: Small) -> None:
    small.asks = True
    small.go.set()
    with pytest.raises(Paused) as paused:
        await start(Job({"question": "Why?"}, Context()), store, ignore)
    run = paused.value.run
    assert paused.value.asked == {"which": ["a", "b"]} and not (await store.find(run)).alive
    with pytest.raises(Paused) as again:
        await resume(run, store, ignore)
    assert again.value.asked == paused.value.asked and small.begun == 1
    assert (await resume(run, store, ignore, answer="b")).outcome == "complete"
    assert small.heard == ["b"] and (await store.find(run)).outcome == "complete"


async def test_a_resumed_run_keeps_the_limits_and_choices_it_was_started_with(store: Store, job: Job) -> None:
    asked = Job(job.question, Context(mode="extractive", min_ok=1), "q1", {"seconds": 77.0})
    seen: list[float] = []

    def die(event: Event) -> None:
        if event.stage == "merge":
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        await start(asked, store, die)
    (run,) = await store.runs()
    answer = await resume("q1", store, lambda event: seen.append((event.deadline or 0.0) - run.began))
    assert answer.id == "q1" and all(77 <= seconds < 87 for seconds in seen)


@pytest.mark.parametrize("limit", ["PRAGMA max_page_count = 1", "PRAGMA query_only = ON"], ids=["full", "read-only"])
async def test_a_disk_that_is_full_in_the_middle_of_a_run_costs_its_record_and_not_its_answer(
    store: Store, job: Job, limit: str, capsys: pytest.CaptureFixture[str]
) -> None:
    async with asyncio.TaskGroup() as tasks:

        async def fill() -> None:
            await store.saver.conn.execute(limit)

        answer = await start(job, store, lambda event: event.stage == "documents" and tasks.create_task(fill()))
    assert answer.outcome == "complete" and "52 million" in answer.report
    assert capsys.readouterr().err.count("runs cannot be kept in") == 1
    await store.saver.conn.execute("PRAGMA query_only = OFF")
    await store.saver.conn.execute("PRAGMA max_page_count = 1000000")
    assert (await resume(answer.id, store, ignore)).report == answer.report


async def test_without_a_data_folder_a_run_has_its_answer_all_the_same(tmp_path: Path, job: Job) -> None:
    async with open_store(tmp_path / "report.md" / "data") as store:
        assert "52 million" in (await start(job, store, ignore)).report
