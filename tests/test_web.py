"""Pages that the user names and a search endpoint: what cannot be read is named, what can be read is quoted."""

import asyncio
import json
from collections.abc import AsyncIterator, Sequence
from typing import Any

import pytest
from kit import LOOSE
from langgraph.graph import END, START, StateGraph
from source_kit import Site, ids, lost, pdf, redirect, reply, row, site

from guards import guard
from nodes.sources.collecting import MARGIN_SECONDS
from nodes.sources.web import PAGES_PER_SEARCH, web
from state.evidence import Collected
from state.research import Research

QUESTION = "Where does the tide clock hang?"
HTML = b"<title>The clock</title><p>The tide clock hangs at Market Square.<p>It is of steel."


@pytest.fixture
async def server(monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Site]:
    monkeypatch.setenv("INTERLOCK_ALLOW_LOOPBACK", "1")
    async with site() as running:
        yield running


async def read(*urls: str, search: str = "", **said: Any) -> Collected:
    state = {"question": QUESTION, "urls": list(urls), "search": search, **said}
    return (await web(state))["collected"][0]  # type: ignore[arg-type]


def results(*found: Any) -> bytes:
    return reply(json.dumps({"query": QUESTION, "results": found}).encode(), "application/json")


def result(url: str, content: str = "", **more: Any) -> dict[str, Any]:
    return {"url": url, "title": f"About {url[-1]}", "content": content, **more}


# Pages.


async def test_a_page_is_quoted_with_its_place(server: Site) -> None:
    server.pages["/clock"] = reply(HTML)
    found = await read(f"{server.url}/clock")
    (quoted,) = found.findings
    assert quoted.text == "The tide clock hangs at Market Square.\nIt is of steel."
    assert (quoted.source_id, quoted.title, quoted.location) == (f"{server.url}/clock", "The clock", "line 1")


@pytest.mark.parametrize(
    ("body", "kind", "text"),
    [
        ("Die Uhr hängt dort – gut".encode("cp1252"), "text/plain; charset=windows-1252", "Die Uhr hängt dort – gut"),
        ("時計はここ".encode("shift_jis"), "text/plain; charset=Shift_JIS", "時計はここ"),
        ("Die Uhr hängt".encode("utf-16"), 'text/html; charset="utf-16"', "Die Uhr hängt"),
        ("Die Uhr hängt".encode(), "text/html; charset=klingon", "Die Uhr hängt"),
        ("Die Uhr hängt".encode(), "text/html; charset=zip", "Die Uhr hängt"),
        (b"The clock hangs-z9", "text/html; charset=punycode", "The clock hangs-z9"),
        (b"The clock hangs \\u0041", "text/html; charset=unicode-escape", "The clock hangs \\u0041"),
        (b"a,clock\n1,2", "text/csv", "a,clock\n1,2"),
    ],
)
async def test_the_charset_that_the_server_states_counts(server: Site, body: bytes, kind: str, text: str) -> None:
    server.pages["/"] = reply(body, kind)
    assert (await read(server.url)).findings[0].text == text


async def test_a_pdf_is_read_page_by_page(server: Site) -> None:
    server.pages["/a.pdf"] = reply(pdf("nothing", "the tide clock"), "application/pdf")
    assert (await read(f"{server.url}/a.pdf")).findings[0].text.endswith("the tide clock")


async def test_one_lost_page_costs_only_itself(server: Site) -> None:
    server.pages |= {"/clock": reply(HTML), "/broken.pdf": reply(b"no PDF", "application/pdf")}
    found = await read(f"{server.url}/clock", f"{server.url}/gone", f"{server.url}/broken.pdf", "http://10.0.0.1/", "x")
    assert found.status == "ok" and set(ids(found)) == {f"{server.url}/clock"}
    statuses = [source.status for source in found.sources]
    assert statuses == ["ok", "failed", "failed", "refused", "refused"]
    assert all(reason.count(":") and "\n" not in reason for reason in lost(found).values())


async def test_when_every_page_is_lost_the_collector_says_the_worst(server: Site) -> None:
    found = await read("http://10.0.0.1/", f"{server.url}/gone")
    assert found.status == "failed" and "HTTP 404" in found.reason


async def test_the_pages_are_read_in_the_first_round_only(server: Site) -> None:
    server.pages["/clock"] = reply(HTML)
    found = await read(f"{server.url}/clock", followed=True, queries=["a"])
    assert (found.status, server.asked) == ("skipped", [])


async def test_the_best_passages_of_a_long_page_come_first(server: Site) -> None:
    filler = "".join(f"<p>{'Nothing of interest stands here. ' * 30}" for _ in range(30))
    server.pages["/"] = reply(f"{filler}<p>The tide clock hangs at Market Square.{filler}".encode())
    found = await read(server.url)
    assert len(found.findings) == 1 and "Market Square" in found.findings[0].text


async def hang(writer: asyncio.StreamWriter) -> None:
    await asyncio.Event().wait()


async def test_a_page_that_hangs_is_told_before_the_attempt_ends(server: Site) -> None:
    server.pages |= {"/clock": reply(HTML), "/hang": hang}
    graph = StateGraph(Research)
    graph.add_node("web", web)
    graph.add_edge(START, "web")
    graph.add_edge("web", END)
    asked = {"question": QUESTION, "urls": [f"{server.url}/hang", f"{server.url}/clock"]}
    outcome = await guard(graph, LOOSE.but(timeout=MARGIN_SECONDS + 0.3)).ainvoke(asked)
    (found,) = outcome["collected"]
    assert outcome["run"].outcome == "complete" and ids(found) == [f"{server.url}/clock"]
    assert row(found, "/hang").status == "timed out"


# A search endpoint.


async def test_results_are_read_and_quoted_by_their_own_pages(server: Site) -> None:
    server.pages |= {"/search": results(result(f"{server.url}/clock", "a tide clock")), "/clock": reply(HTML)}
    found = await read(search=server.url)
    assert found.findings[0].text.startswith("The tide clock hangs at Market Square.")
    assert server.paths()[0] == "/search?q=Where+does+the+tide+clock+hang%3F&format=json"


@pytest.mark.parametrize("end", ["", "/", "/search", "/search/"])
async def test_the_endpoint_may_be_named_with_its_path_or_without(server: Site, end: str) -> None:
    server.pages["/search"] = results()
    assert (await read(search=f"{server.url}{end}")).status == "ok"


async def test_a_result_whose_page_cannot_be_read_counts_by_what_the_endpoint_says(server: Site) -> None:
    server.pages |= {
        "/search": results(
            result(f"{server.url}/gone", "The tide clock is old.", publishedDate="2024-05-01T00:00:00"),
            result("http://10.0.0.1/x", "The tide clock is at a private place."),
            result("not a url", "The tide clock is nowhere."),
        )
    }
    found = await read(search=server.url)
    assert [quoted.text[-5:] for quoted in found.findings] == [" old.", "lace.", "here."]
    assert found.findings[0].date == "2024-05-01" and found.findings[0].location == "search result"
    assert "HTTP 404" in lost(found)[f"{server.url}/gone"] and row(found, "10.0.0.1/x").status == "refused"
    assert not row(found, "10.0.0.1/x").named


async def test_only_the_first_results_are_read_and_each_page_once(server: Site) -> None:
    server.pages["/search"] = results(*(result(f"{server.url}/{number}", "clock") for number in range(10)))
    await read(search=server.url, queries=["tide clock", "moon clock"])
    assert sorted(path for path in server.paths() if "search" not in path) == [f"/{n}" for n in range(PAGES_PER_SEARCH)]


async def test_the_second_round_asks_and_reads_no_pages(server: Site) -> None:
    server.pages["/search"] = results(result(f"{server.url}/1", "clock"))
    found = await read(search=server.url, followed=True, queries=["a", "b"])
    assert len(server.asked) == 2 and ids(found) == [f"{server.url}/1"]


@pytest.mark.parametrize(
    ("page", "told"),
    [
        (reply(b"Forbidden", status="403 Forbidden"), "HTTP 403: it keeps programs out"),
        (reply(b"<html>search me</html>"), "content of the type 'text/html' is not read"),
        (reply(b"not json", "application/json"), "its answer is no SearXNG JSON: allow `json` under search.formats"),
        (reply(b"[]", "application/json"), "its answer is no SearXNG JSON"),
        (reply(b"null", "application/json"), "its answer is no SearXNG JSON"),
        (reply(b'{"results": 5}', "application/json"), "its answer is no SearXNG JSON"),
        (reply(b"[" * 100_000, "application/json"), "its answer is no SearXNG JSON"),
        (reply(b"\xff\xfe\x00", "application/json"), "its answer is no SearXNG JSON"),
        (redirect("http://192.168.1.1/"), "it leads to a private address"),
    ],
)
async def test_an_endpoint_that_answers_something_else_is_told(server: Site, page: bytes, told: str) -> None:
    server.pages["/search"] = page
    found = await read(search=server.url)
    assert found.status in ("failed", "refused") and told in found.reason


async def test_results_of_any_shape_cost_at_most_themselves(server: Site) -> None:
    shapes: Sequence[Any] = [
        5, None, [], {}, {"url": ""}, {"url": 7}, {"url": ["x"], "content": {"a": 1}}, {"url": "u", "content": None},
        {"url": "http://\ud800/", "title": "\ud800", "content": "lone \ud800 half", "publishedDate": 5},
        result("x" * 5_000, "clock " * 5_000), result("u2", "\0 clock"),
    ]  # fmt: skip
    server.pages["/search"] = results(*shapes)
    found = await read(search=server.url)
    assert found.status == "ok" and any("lone ? half" in quoted.text for quoted in found.findings)
    assert Collected.model_validate_json(found.model_dump_json()) == found


async def test_a_query_that_is_not_answered_costs_only_itself_and_is_told(server: Site) -> None:
    async def once(writer: asyncio.StreamWriter) -> None:
        first = len(server.asked) == 1
        writer.write(results(result(f"{server.url}/1", "clock")) if first else reply(b"", status="429 Slow down"))

    server.pages["/search"] = once
    found = await read(search=server.url, followed=True, queries=["a", "b", "c"])
    assert found.status == "ok" and len(found.findings) == 1
    assert found.sources[0].reason.startswith("2 of 3 queries were not answered: the server answered HTTP 429")
