"""Web: the pages that the user names, and a search endpoint that speaks SearXNG's JSON."""

import asyncio
import codecs
import json
from collections.abc import Iterator, Mapping, Sequence
from typing import Any
from urllib.parse import urlencode, urlsplit

from guards import detached
from guards.text.masked import masked
from nodes.sources.collecting import (
    PASSAGES_PER_QUERY,
    Collecting,
    Found,
    Lost,
    collect,
    finding,
    time_left,
    watched,
)
from nodes.sources.fetch import JSON, PAGE_SECONDS, Page, fetch
from nodes.sources.html import from_html
from nodes.sources.pdf import from_pdf
from nodes.sources.plain import from_text
from nodes.sources.text import Document, Hit, date_of, passages, without_secrets
from nodes.text.common import COMMON
from nodes.text.tokens import stems
from state.evidence import Finding, Source
from state.research import Asked

PAGES_PER_SEARCH = 3
"""Result pages that are read for each query; other results count with the text that the endpoint gives."""

PASSAGES_PER_PAGE = 4
"""Of a result's page; of a page that the user named it is `PASSAGES_PER_QUERY`."""

AT_ONCE = 6
SAID_CHARACTERS = 5_000
TITLE_CHARACTERS = 200
QUERY_CHARACTERS = 400

CHARSETS = frozenset(
    "ascii utf-16 utf-16-be utf-16-le big5 big5hkscs gb2312 gb18030 gbk euc_jp iso2022_jp shift_jis cp932 euc_kr cp949"
    " koi8-r koi8-u mac-roman mac-cyrillic cp866 cp874 tis-620".split()
).union((f"cp{number}" for number in range(1250, 1259)), (f"iso8859-{number}" for number in range(1, 17)))
"""What pages are written in (WHATWG Encoding Standard), as Python names it; UTF-8 needs no decoding here."""

Result = dict[str, Any]
"""One result, as the endpoint tells it."""


async def web(state: Asked) -> Collecting:
    """Read the pages in `urls`, in the first round only, and ask the endpoint in `search` every query."""
    first = not state.get("followed")
    urls = list(state.get("urls") or []) if first else []
    endpoint = state.get("search") or ""
    limit = asyncio.Semaphore(AT_ONCE)

    async def look(place: str, queries: Sequence[str]) -> Found:
        if place == endpoint:
            return await _search(place, queries, limit, PAGES_PER_SEARCH if first else 0)
        page = await _read(place, limit)
        return Found([each for query in queries for each in _best(place, page, query, PASSAGES_PER_QUERY)])

    return await collect("web", "web", [*urls, *([endpoint] if endpoint else [])], state, look)


async def _read(url: str, limit: asyncio.Semaphore) -> Document:
    async with limit, watched(f"host '{_host(url)}'"):
        page = await fetch(url, seconds=min(PAGE_SECONDS, time_left()))
    with detached():  # it ends by itself, and may hold pdfium's lock
        return await asyncio.to_thread(_document, page)


def _document(page: Page) -> Document:
    """A page's text; parsing blocks."""
    parts = urlsplit(page.url)
    title = parts.path.rstrip("/").rpartition("/")[2] or parts.hostname or page.url
    if page.kind == "application/pdf":
        return without_secrets(from_pdf(page.data, page.url, title))
    return without_secrets((from_html if "html" in page.kind else from_text)(_utf8(page), page.url, title))


def _utf8(page: Page) -> bytes:
    """The body in UTF-8 when the server says what it is in; any name but those of the web is passed over.

    Python knows codecs that are no charsets: punycode takes minutes for a page of a few megabytes.
    """
    try:
        name = codecs.lookup(page.charset).name
    except (LookupError, UnicodeError, ValueError):
        return page.data
    return page.data.decode(name, "replace").encode(errors="replace") if name in CHARSETS else page.data


async def _search(endpoint: str, queries: Sequence[str], limit: asyncio.Semaphore, pages: int) -> Found:
    """Ask the endpoint every query; one that it answers is enough."""
    answers = await asyncio.gather(*(_results(endpoint, query, limit) for query in queries), return_exceptions=True)
    answered = [
        (q, answer) for q, answer in zip(queries, answers, strict=True) if not isinstance(answer, BaseException)
    ]
    lost = [answer for answer in answers if isinstance(answer, BaseException)]
    if not answered:
        raise lost[0]
    read = await _pages({url for _, results in answered for url in _urls(results[:pages])}, limit)
    found = Found([hit for query, results in answered for hit in _hits(query, results, read)])
    found.sources = [_unread(url, page) for url, page in read.items() if isinstance(page, Lost)]
    if lost:
        found.note = f"{len(lost)} of {len(queries)} queries were not answered: {lost[0]}"[:300]
    return found


async def _results(endpoint: str, query: str, limit: asyncio.Semaphore) -> list[Result]:
    base = endpoint.rstrip("/").removesuffix("/search")
    url = f"{base}/search?{urlencode({'q': query[:QUERY_CHARACTERS], 'format': 'json'})}"
    async with limit, watched(f"search endpoint '{_host(base)}'"):
        page = await fetch(url, JSON, min(PAGE_SECONDS, time_left()))
    try:
        results = json.loads(page.data)["results"]
    except (ValueError, KeyError, TypeError, RecursionError):
        raise _no_searxng() from None
    if not isinstance(results, list):
        raise _no_searxng()
    return [result for result in results if isinstance(result, dict) and result.get("url")][:PASSAGES_PER_QUERY]


def _no_searxng() -> Lost:
    return Lost("its answer is no SearXNG JSON: allow `json` under search.formats in its settings, check the address")


def _urls(results: Sequence[Result]) -> list[str]:
    return [_text(result["url"]) for result in results]


async def _pages(urls: set[str], limit: asyncio.Semaphore) -> dict[str, Document | BaseException]:
    """The results' pages that can be read, and why the others cannot."""
    ordered = sorted(urls)
    read = await asyncio.gather(*(_read(url, limit) for url in ordered), return_exceptions=True)
    return dict(zip(ordered, read, strict=True))


def _hits(query: str, results: Sequence[Result], read: Mapping[str, Document | BaseException]) -> Iterator[Finding]:
    """A result by its page where that was read, else by what the endpoint says of it."""
    for rank, (url, result) in enumerate(zip(_urls(results), results, strict=True)):
        page = read.get(url)
        best = _best(url, page, query, PASSAGES_PER_PAGE) if isinstance(page, Document) else []
        yield from best or _said(url, result, query, rank)


def _said(url: str, result: Result, query: str, rank: int) -> list[Finding]:
    """The endpoint's own text of a result."""
    text = masked(_text(result.get("content")).strip()[:SAID_CHARACTERS])
    title = masked(" ".join(_text(result.get("title")).split())[:TITLE_CHARACTERS]) or url
    date = date_of(_text(result.get("publishedDate")), "")
    hit = Hit(url, title, date, 0, "search result", text, 1 / (rank + 1))
    return [finding("web", hit, url, url, query)] if text else []


def _best(url: str, page: Document, query: str, most: int) -> list[Finding]:
    """The passages of a page that share most words with the query; its beginning when none does."""
    wanted = set(stems(query)) - COMMON
    spans = [
        (len(wanted.intersection(stems(page.text[first:last]))), first, last) for first, last in passages(page.text)
    ]
    best = sorted(spans, key=lambda span: (-span[0], span[1]))[:most]
    told = [span for span in best if span[0]] or best[:1]
    return [finding("web", _hit(page, *span), url, url, query) for span in told]


def _hit(page: Document, score: int, first: int, last: int) -> Hit:
    return Hit(page.name, page.title, page.date, first, page.location(first), page.text[first:last], float(score))


def _unread(url: str, why: Lost) -> Source:
    return Source(id=url, kind="web", place=url, status=why.status, reason=str(why))


def _host(url: str) -> str:
    """Where a URL leads, for its circuit; a wrong URL is refused later and says nothing about a host."""
    try:
        return urlsplit(url).netloc.rpartition("@")[2].lower()
    except ValueError:
        return ""


def _text(value: object) -> str:
    """A value of somebody's JSON as valid text: a lone surrogate would break what stores it."""
    return str(value or "").encode("utf-8", "replace").decode()
