"""Places: a corpus split among a folder, a SQLite database and a search endpoint on loopback, as a person has it.

The endpoint is plain BM25 (SQLite FTS5, words as they stand) over what it holds, and answers as SearXNG does. Its pages
can be read.
"""

import hashlib
import html
import json
import socket
import sqlite3
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

from nodes.sources.words import telling

RESULTS = 20


@dataclass(frozen=True)
class Entry:
    """One document of a corpus; `source` and `date` where the corpus has them."""

    id: str
    title: str
    text: str
    source: str = ""
    date: str = ""


@dataclass(frozen=True)
class Places:
    """Where a corpus was put.

    Attributes:
        options: The command line's options that name the places.
        texts: What is stored of each source, by the source id that an answer gives it: the text of a file or
            a page, the values of a row's columns.
        ids: The corpus's id by that source id.
    """

    options: tuple[str, ...]
    texts: dict[str, tuple[str, ...]]
    ids: dict[str, str]


@contextmanager
def one_folder(folder: Path, entries: Sequence[Entry]) -> Iterator[Places]:
    """Everything in one folder."""
    texts, ids = _fill_folder(folder / "docs", entries)
    yield Places(("--docs", str(folder / "docs")), texts, ids)


@contextmanager
def three_places(folder: Path, entries: Sequence[Entry]) -> Iterator[Places]:
    """A third in a folder, a third in a database, a third behind a search endpoint."""
    thirds = [[entry for entry in entries if _third(entry) == third] for third in range(3)]
    texts, ids = _fill_folder(folder / "docs", thirds[0])
    rows = _fill_database(folder / "library.sqlite", thirds[1])
    with endpoint(thirds[2]) as url:
        pages = {f"{url}/{number}": entry for number, entry in enumerate(thirds[2], 1)}
        options = ("--docs", str(folder / "docs"), "--db", str(folder / "library.sqlite"), "--search", url)
        values = {name: (entry.title, entry.source, entry.date, entry.text) for name, entry in rows.items()}
        said = {name: (_said(entry),) for name, entry in pages.items()}
        yield Places(
            options,
            {**texts, **values, **said},
            {**ids, **{name: entry.id for name, entry in {**rows, **pages}.items()}},
        )


@contextmanager
def endpoint(entries: Sequence[Entry]) -> Iterator[str]:
    """A search endpoint over these documents; gives its URL."""
    database = sqlite3.connect(":memory:", check_same_thread=False)
    database.execute("CREATE VIRTUAL TABLE pages USING fts5(text)")
    rows = ((number, f"{entry.title}\n{_said(entry)}") for number, entry in enumerate(entries, 1))
    database.executemany("INSERT INTO pages (rowid, text) VALUES (?, ?)", rows)
    server = ThreadingHTTPServer(("127.0.0.1", 0), _Handler)
    server.daemon_threads = True
    server.entries, server.database, server.lock = entries, database, threading.Lock()  # type: ignore[attr-defined]
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_port}"
    finally:
        server.shutdown()
        server.server_close()
        database.close()


@contextmanager
def silent_server() -> Iterator[str]:
    """A server that takes connections and never answers; gives its URL."""
    with socket.create_server(("127.0.0.1", 0), backlog=100) as listening:
        yield f"http://127.0.0.1:{listening.getsockname()[1]}/slow"


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server: Any

    def do_GET(self) -> None:
        parts = urlsplit(self.path)
        if parts.path == "/search":
            query = parse_qs(parts.query).get("q", [""])[0]
            self._reply("application/json", json.dumps({"query": query, "results": list(self._results(query))}))
        elif parts.path[1:].isdigit() and 0 < int(parts.path[1:]) <= len(self.server.entries):
            entry = self.server.entries[int(parts.path[1:]) - 1]
            body = "".join(f"<p>{html.escape(line)}</p>" for line in _said(entry).split("\n"))
            self._reply("text/html", f"<title>{html.escape(entry.title)}</title><body>{body}</body>")
        else:
            self.send_error(404)

    def _results(self, query: str) -> Iterator[dict[str, str]]:
        match = " OR ".join(f'"{word}"' for word in telling(query))
        sql = "SELECT rowid FROM pages WHERE pages MATCH ? ORDER BY rank LIMIT ?"
        with self.server.lock:
            found = self.server.database.execute(sql, (match, RESULTS)).fetchall() if match else []
        for (number,) in found:
            entry = self.server.entries[number - 1]
            url = f"http://127.0.0.1:{self.server.server_port}/{number}"
            yield {"url": url, "title": entry.title, "content": _said(entry), "publishedDate": entry.date}

    def _reply(self, kind: str, text: str) -> None:
        data = text.encode()
        self.send_response(200)
        self.send_header("content-type", f"{kind}; charset=utf-8")
        self.send_header("content-length", str(len(data)))
        self.end_headers()
        self.wfile.write(data)

    def log_message(self, format: str, *args: Any) -> None:
        """Nothing is logged."""


def _third(entry: Entry) -> int:
    return int(hashlib.sha256(entry.id.encode()).hexdigest(), 16) % 3


def _said(entry: Entry) -> str:
    head = [f"{name}: {value}" for name, value in (("source", entry.source), ("date", entry.date)) if value]
    return "\n".join([*head, entry.text])


def _fill_folder(folder: Path, entries: Sequence[Entry]) -> tuple[dict[str, tuple[str, ...]], dict[str, str]]:
    folder.mkdir(parents=True)
    texts = {f"{number}.md": (f"# {entry.title}\n\n{_said(entry)}\n",) for number, entry in enumerate(entries, 1)}
    for name, (text,) in texts.items():
        (folder / name).write_text(text)
    return texts, {f"{number}.md": entry.id for number, entry in enumerate(entries, 1)}


def _fill_database(path: Path, entries: Sequence[Entry]) -> dict[str, Entry]:
    """A table of articles; gives the source id of each row."""
    database = sqlite3.connect(path)
    database.execute("CREATE TABLE articles (id INTEGER PRIMARY KEY, title TEXT, source TEXT, date TEXT, text TEXT)")
    rows = ((number, e.title, e.source or None, e.date or None, e.text) for number, e in enumerate(entries, 1))
    database.executemany("INSERT INTO articles VALUES (?, ?, ?, ?, ?)", rows)
    database.commit()
    database.close()
    return {f"{path.name}#articles/{number}": entry for number, entry in enumerate(entries, 1)}
