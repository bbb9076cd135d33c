"""LangSmith gets the run tree when its variables are set, nothing otherwise, and a dead endpoint costs nothing."""

import json
import os
import re
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from functools import reduce
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import langsmith
import pytest
from kit import LOOSE, chain, says
from langsmith import run_trees
from model_server import KEY, ModelServer

from guards import guard
from guards.running.tracing import TRACED_CHARACTERS, QuietClient, redacted

ROOT = Path(__file__).parent.parent
EXIT_SECONDS = 9
"""For the exit of a process on a loaded machine; LangSmith's own client takes 14 to 20 s to leave a dead end."""

CARD, KEY_SHAPED, TRACE_KEY = "4111 1111 1111 1111", "sk-abcdefghijklmnop1234567890", "ls-key-of-the-tests"

SCRIPT = f"""
import asyncio
from langchain_openai import ChatOpenAI
from kit import LOOSE, chain, raises, says
from guards import fallback, guard

async def asks(state):
    await ChatOpenAI(model="gpt-4o-mini", max_retries=0).ainvoke("key {KEY_SHAPED}, password: hunter2secret")
    return {{"log": ["asks"]}}

bad = raises("bad", lambda: ValueError("token=abc123secret"))
graph = guard(chain(says("a"), asks, fallback(bad, says("plain"))), LOOSE, name="mine")
result = asyncio.run(graph.ainvoke({{"log": [], "topic": "card {CARD}"}}))
print(result["run"].outcome, result["run"].trace_id)
"""
PLAIN = """
import asyncio, time
from kit import LOOSE, chain, says
from guards import guard
print(asyncio.run(guard(chain(says("a")), LOOSE).ainvoke({"log": []}))["run"].outcome, time.time())
"""


def plain_process(endpoint: str, **variables: str) -> str:
    """The outcome of a small run in a process that must not linger when the run has ended."""
    outcome, ended = process(PLAIN, endpoint, **variables).split()
    assert time.time() - float(ended) < EXIT_SECONDS
    return outcome


class Sink(ThreadingHTTPServer):
    """A LangSmith endpoint that keeps what it gets; `silent` posts are never answered."""

    daemon_threads = True

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.url = f"http://127.0.0.1:{self.server_port}"
        self.requests: list[tuple[str, bytes]] = []
        self.silent, self.closing = False, threading.Event()

    def parts(self) -> dict[str, Any]:
        """The multipart bodies' JSON by part name: "post.<id>.inputs"."""
        found = {}
        for _, body in self.requests:
            for part in re.finditer(rb'name="([^"]+)"\r\n(?:[^\r]+\r\n)*\r\n(.*?)\r\n--', body, re.DOTALL):
                found[part[1].decode()] = json.loads(part[2])
        return found

    def runs(self) -> dict[str, dict[str, Any]]:
        """Each run by name, with its metadata as it was sent last: when the run began, or when it ended."""
        parts = self.parts()
        begun = {name[5:]: value for name, value in parts.items() if re.fullmatch(r"post\.[0-9a-f-]{36}", name)}
        extra = {key: parts.get(f"patch.{key}.extra") or parts[f"post.{key}.extra"] for key in begun}
        return {run["name"]: {**run, "metadata": extra[key]["metadata"]} for key, run in begun.items()}


class _Handler(BaseHTTPRequestHandler):
    server: Sink

    def do_GET(self) -> None:
        limits = {"size_limit": 100, "size_limit_bytes": 20_000_000, "use_multipart_endpoint": True}
        limits |= {"scale_up_nthreads_limit": 16, "scale_up_qsize_trigger": 1000}
        self._answer({"version": "0.15", "batch_ingest_config": limits})

    def do_POST(self) -> None:
        self.server.requests.append((self.path, self.rfile.read(int(self.headers["Content-Length"]))))
        if self.server.silent:
            self.server.closing.wait(60)
        self._answer({})

    do_PATCH = do_POST  # noqa: N815

    def _answer(self, body: dict[str, Any]) -> None:
        data = json.dumps(body).encode()
        self.send_response(200)
        self.send_header("Content-Length", str(len(data)))
        self.end_headers()
        self.wfile.write(data)

    def log_message(self, *args: Any) -> None:
        pass


@pytest.fixture
def sink() -> Iterator[Sink]:
    running = Sink()
    threading.Thread(target=running.serve_forever, daemon=True).start()
    yield running
    running.closing.set()
    running.shutdown()
    running.server_close()


def process(script: str, endpoint: str, **variables: str) -> str:
    """What a fresh process with tracing on prints; it must end in time."""
    tracing = {"LANGSMITH_TRACING": "true", "LANGSMITH_API_KEY": TRACE_KEY, "LANGSMITH_ENDPOINT": endpoint}
    path = {"PYTHONPATH": os.pathsep.join([str(ROOT), str(ROOT / "tests")])}
    done = subprocess.run(
        [sys.executable, "-c", script],
        env={**os.environ, **tracing, **path, **variables},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout.strip()


def test_the_run_tree_arrives_with_the_trace_id_and_without_secrets(server: ModelServer, sink: Sink) -> None:
    outcome, trace_id = process(SCRIPT, sink.url).split()
    assert outcome == "partial" and len(server.calls) == 1
    runs = sink.runs()
    assert {"mine", "a", "asks", "bad", "ChatOpenAI"} <= runs.keys()
    assert runs["asks"]["parent_run_id"] == runs["mine"]["id"] == runs["ChatOpenAI"]["trace_id"]
    assert all(runs[name]["metadata"]["trace_id"] == trace_id for name in ("mine", "a", "asks", "bad"))
    sent = b"".join(body for _, body in sink.requests).decode()
    for secret in (KEY, TRACE_KEY, KEY_SHAPED, CARD, "hunter2secret", "abc123secret"):
        assert secret not in sent
    assert "[card removed]" in sent and "[secret removed]" in sent


@pytest.mark.parametrize("switch", ["false", ""])
def test_nothing_is_sent_while_tracing_is_not_switched_on(sink: Sink, switch: str) -> None:
    assert plain_process(sink.url, LANGSMITH_TRACING=switch) == "complete"
    assert sink.requests == []


def test_a_closed_port_slows_neither_a_run_nor_its_exit() -> None:
    with socket.socket() as held:
        held.bind(("127.0.0.1", 0))  # bound and not listening: connections are refused
        assert plain_process(f"http://127.0.0.1:{held.getsockname()[1]}") == "complete"


def test_a_port_that_accepts_and_never_answers_slows_neither_a_run_nor_its_exit() -> None:
    with socket.socket() as silent:
        silent.bind(("127.0.0.1", 0))
        silent.listen(50)
        assert plain_process(f"http://127.0.0.1:{silent.getsockname()[1]}") == "complete"


def test_an_endpoint_that_stops_answering_midway_does_not_hold_the_process(sink: Sink) -> None:
    sink.silent = True
    assert plain_process(sink.url) == "complete"
    assert sink.requests


def test_guarding_a_graph_begins_no_thread_and_no_client(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(run_trees, "_CLIENT", None)
    before = threading.active_count()
    guard(chain(says("a")), LOOSE)
    client = run_trees._CLIENT
    assert isinstance(client, QuietClient) and not client.begun and threading.active_count() == before


def test_a_client_that_the_user_made_stays(monkeypatch: pytest.MonkeyPatch) -> None:
    own = langsmith.Client(api_url="http://127.0.0.1:9", api_key="none", auto_batch_tracing=False)
    monkeypatch.setattr(run_trees, "_CLIENT", own)
    guard(chain(says("a")), LOOSE)
    assert run_trees._CLIENT is own


@pytest.mark.parametrize(
    "data",
    [
        {"log": ["x" * 5_000_000]},
        {"log": ["word " * 1_000] * 1_000},
        {"log": [[index] for index in range(100_000)]},
        {"deep": reduce(lambda inner, _: [inner], range(200), "x")},
    ],
)
def test_what_is_sent_of_one_run_is_bounded(data: Any) -> None:
    assert len(json.dumps(redacted(data))) < 2 * TRACED_CHARACTERS
