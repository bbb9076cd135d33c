"""What every collector does: one row a place, one outcome, whatever a look does."""

from collections.abc import Sequence
from typing import Any

import pytest
from langgraph.graph import END, START, StateGraph
from source_kit import ids, row

from nodes.sources.collecting import (
    FINDINGS_PER_ROUND,
    PLACES,
    QUERIES_PER_ROUND,
    Found,
    Look,
    Lost,
    collect,
    finding,
    in_thread,
)
from nodes.sources.text import Hit
from state.evidence import Collected, Finding
from state.guarded import Status
from state.research import Research


def hit(name: str, query: str = "q", score: float = 1.0, text: str = "a tide clock") -> Finding:
    return finding("file", Hit(name, name, "", 5, "line 1", text, score), name, name, query)


async def look(place: str, queries: Sequence[str]) -> Found:
    """Does what its place says."""
    match place.partition(":")[0]:
        case "lost":
            raise Lost("it is lost: look elsewhere")
        case "refused":
            raise Lost("it is closed: ask for a key", "refused")
        case "slow":
            raise TimeoutError
        case "denied":
            raise PermissionError(13, "Permission denied", "/secret/path")
        case "bug":
            raise KeyError("secret")
        case "empty":
            return Found()
    return Found([hit(place, query) for query in queries])


async def collected(*places: str, look: Look = look, **state: Any) -> Collected:
    return (await collect("tests", "file", places, {"question": "q", **state}, look))["collected"][0]  # type: ignore[typeddict-item]


@pytest.mark.parametrize(
    ("place", "status", "reason"),
    [
        ("good", "ok", ""),
        ("empty", "ok", ""),
        ("lost", "failed", "it is lost: look elsewhere"),
        ("refused", "refused", "it is closed: ask for a key"),
        ("slow", "timed out", "no answer in time: ask again, or name less at once"),
        ("denied", "failed", "it cannot be opened (Permission denied): check its permissions"),
        ("bug", "failed", "it could not be read (KeyError): check what it is"),
    ],
)
async def test_whatever_a_look_does_is_one_outcome(place: str, status: Status, reason: str) -> None:
    found = await collected(place)
    assert (found.status, found.reason) == (status, reason)
    (only,) = found.sources
    assert (only.place, only.status, only.reason, only.named) == (place, status, reason, True)


async def test_one_lost_place_costs_only_itself() -> None:
    found = await collected("lost", "good", "bug")
    assert (found.status, ids(found)) == ("ok", ["good"])
    assert [source.status for source in found.sources] == ["failed", "ok", "failed"]


async def test_when_all_are_lost_the_worst_is_told() -> None:
    assert (await collected("refused", "slow")).status == "timed out"
    assert (await collected("refused", "slow", "lost")).status == "failed"


async def test_no_place_is_skipped() -> None:
    found = await collected()
    assert (found.status, found.reason, found.sources) == ("skipped", "no such source was named", ())


async def test_places_and_queries_are_bounded_and_each_is_looked_at_once() -> None:
    asked: list[tuple[str, int]] = []

    async def counting(place: str, queries: Sequence[str]) -> Found:
        asked.append((place, len(queries)))
        return Found()

    places = [f"place {number}" for number in range(PLACES + 1)]
    found = await collected(*places, *places, look=counting, queries=[str(number) for number in range(50)] * 2)
    assert asked == [(place, QUERIES_PER_ROUND) for place in places[:PLACES]]
    assert row(found, places[-1]).reason == f"over the limit of {PLACES} places: ask twice"


async def test_findings_are_bounded_and_no_query_or_place_pushes_out_another() -> None:
    async def many(place: str, queries: Sequence[str]) -> Found:
        score = 100.0 if place == "loud" else 0.1
        return Found([hit(f"{place} {query} {number}", query, score) for query in queries for number in range(100)])

    found = await collected("loud", "quiet", look=many, queries=["long", "short"])
    assert len(found.findings) == FINDINGS_PER_ROUND
    for start in ("loud long", "loud short", "quiet long", "quiet short"):
        assert sum(name.startswith(start) for name in ids(found)) == FINDINGS_PER_ROUND / 4


async def test_a_passage_that_two_queries_find_is_kept_once() -> None:
    found = await collected("good", queries=["one", "two"])
    assert ids(found) == ["good"] and found.findings[0].query == "one"


async def test_a_note_stands_in_the_row_of_a_place_that_answered() -> None:
    async def noted(place: str, queries: Sequence[str]) -> Found:
        return Found([hit("a")], note="only half of it was read")

    found = await collected("good", look=noted)
    assert (found.status, found.sources[0].reason) == ("ok", "only half of it was read")


async def test_a_look_that_blocks_runs_in_a_thread_of_its_own() -> None:
    import threading

    names: list[str] = []

    def blocking(place: str, queries: Sequence[str]) -> Found:
        names.append(threading.current_thread().name)
        return Found([hit(place)])

    assert ids(await collected("good", look=in_thread(blocking))) == ["good"]
    assert names != [threading.main_thread().name]


async def test_whoever_streams_the_run_is_told_what_each_collector_found() -> None:
    async def node(state: Research) -> Any:
        return await collect("tests", "file", ["good", "lost"], state, look)

    graph = StateGraph(Research)
    graph.add_node("tests", node)
    graph.add_edge(START, "tests")
    graph.add_edge("tests", END)
    told = [event async for event in graph.compile().astream({"question": "q"}, stream_mode="custom")]
    seconds = told[1].pop("seconds")
    assert told == [
        {"event": "source", "node": "tests", "status": "running", "places": 2},
        {"event": "source", "node": "tests", "status": "ok", "reason": "", "count": 1},
    ]
    assert seconds >= 0


async def test_a_second_round_with_nothing_to_look_up_asks_nobody() -> None:
    async def never(place: str, queries: Sequence[str]) -> Found:
        raise AssertionError

    assert await collect("tests", "file", ["good"], {"question": "q", "followed": True, "queries": []}, never) == {
        "collected": []
    }
