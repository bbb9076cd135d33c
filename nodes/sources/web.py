"""Web: the pages that the user names, and a search endpoint that speaks SearXNG's JSON."""

import asyncio
import json
from collections.abc import Iterator, Mapping, Sequence
from typing import Any
from urllib.parse import urlencode, urlsplit

from nodes.sources.collecting import PASSAGES_PER_QUERY, Collecting, Found, Lost, collect, time_left
from nodes.sources.fetch import JSON, PAGE_SECONDS, Page, fetch
from nodes.sources.parse import from_html, from_pdf, from_text
from nodes.sources.text import Document, date_of, passages
from nodes.text.common import COMMON
from nodes.text.tokens import words
from state.evidence import Finding
from state.research import Asked

PAGES_PER_SEARCH = 3
"""Result pages that are read; the other results count with the text that the endpoint gives."""

PASSAGES_PER_PAGE = 4
AT_ONCE = 6
CONTENT_CHARACTERS = 5_000
QUERY_CHARACTERS = 400


async def web(state: Asked) -> Collecting:
    """Read the pages in `urls` (once), and ask the endpoint in `search` for every query."""
    urls = [] if state.get("followed") else list(state.get("urls") or [])
    endpoint = state.get("search") or ""
    limit = asyncio.Semaphore(AT_ONCE)

    async def look(place: str, queries: Sequence[str]) -> Found:
        if place == endpoint:
            return await _search(place, queries, limit, first=not state.get("followed"))
        return await _page(place, queries, limit)

    queries = state.get("queries") or [state["question"]]
    return await collect("web", "web", [*urls, *([endpoint] if endpoint else [])], queries, look)


async def _page(url: str, queries: Sequence[str], limit: asyncio.Semaphore) -> Found:
    """One page that the user named."""
    document = await _read(url, limit)
    return Found([finding for query in queries for finding in _best(url, document, query)])


async def _read(url: str, limit: asyncio.Semaphore) -> Document:
    async with limit:
        page = await fetch(url, seconds=min(PAGE_SECONDS, time_left()))
    return await asyncio.to_thread(_document, page)


def _document(page: Page) -> Document:
    """A page's text; parsing blocks."""
    data, stem = page.data, urlsplit(page.url).path.rsplit("/", 1)[-1] or (urlsplit(page.url).hostname or "")
    if page.kind == "application/pdf":
        return from_pdf(data, page.url, stem)
    if page.charset and page.charset not in ("utf-8", "utf8"):
        try:
            data = data.decode(page.charset, errors="replace").encode()
        except LookupError:
            pass  # an unknown charset: read like a file without one
    return (from_html if "html" in page.kind else from_text)(data, page.url, stem)


async def _search(endpoint: str, queries: Sequence[str], limit: asyncio.Semaphore, first: bool) -> Found:
    """Ask the endpoint every query; one that answers is enough, the pages it names are a bonus."""
    answers = await asyncio.gather(*(_results(endpoint, query, limit) for query in queries), return_exceptions=True)
    lost = [answer for answer in answers if isinstance(answer, BaseException)]
    if lost and len(lost) == len(answers):
        raise lost[0]
    found = Found()
    for query, results in zip(queries, answers, strict=True):
        if not isinstance(results, BaseException):
            found.findings += await _hits(query, results, limit, PAGES_PER_SEARCH if first else 0)
    return found


async def _results(endpoint: str, query: str, limit: asyncio.Semaphore) -> list[Mapping[str, Any]]:
    base = endpoint if endpoint.rstrip("/").endswith("/search") else f"{endpoint.rstrip('/')}/search"
    url = f"{base.rstrip('/')}?{urlencode({'q': query[:QUERY_CHARACTERS], 'format': 'json'})}"
    async with limit:
        page = await fetch(url, JSON, min(PAGE_SECONDS, time_left()))
    try:
        results = json.loads(page.data)["results"]
    except (ValueError, KeyError, TypeError, RecursionError):
        raise Lost("its answer is no SearXNG JSON: allow `json` under search.formats in its settings") from None
    if not isinstance(results, list):
        raise Lost("its answer is no SearXNG JSON: 'results' must be a list")
    return [result for result in results if isinstance(result, dict) and result.get("url")][:PASSAGES_PER_QUERY]


async def _hits(
    query: str, results: Sequence[Mapping[str, Any]], limit: asyncio.Semaphore, pages: int
) -> list[Finding]:
    """A result by its page where that can be read, else by what the endpoint says of it."""
    read = await asyncio.gather(*(_read(str(r["url"]), limit) for r in results[:pages]), return_exceptions=True)
    hits: list[Finding] = []
    for rank, result in enumerate(results):
        own = list(_said(result, query, rank))
        document = read[rank] if rank < len(read) else None
        hits += own if not isinstance(document, Document) else _best(str(result["url"]), document, query) or own
    return hits


def _said(result: Mapping[str, Any], query: str, rank: int) -> Iterator[Finding]:
    """The endpoint's own text of a result."""
    text = str(result.get("content") or "").strip()[:CONTENT_CHARACTERS]
    if text:
        url = str(result["url"])
        title = str(result.get("title") or url)[:200]
        date = date_of(str(result.get("publishedDate") or ""), "")
        document = Document(url, title, text, date, fixed="search result")
        yield _finding(document, url, query, 0, len(text), 1 / (rank + 1))


def _best(url: str, document: Document, query: str) -> list[Finding]:
    """The passages of a page that share most words with the query; its beginning when none does."""
    wanted = set(words(query)) - COMMON
    spans = list(passages(document.text))
    scored = [(len(wanted & set(words(document.text[first:last]))), -first, first, last) for first, last in spans]
    best = sorted(scored, reverse=True)[:PASSAGES_PER_PAGE]
    return [_finding(document, url, query, first, last, float(score)) for score, _, first, last in best]


def _finding(document: Document, url: str, query: str, first: int, last: int, score: float) -> Finding:
    return Finding(
        source_id=url,
        kind="web",
        collector="web",
        title=document.title,
        text=document.text[first:last],
        place=url,
        location=document.location(first),
        start=first,
        end=last,
        score=score,
        date=document.date,
        query=query,
    )
