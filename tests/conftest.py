"""Every test gets an environment of its own: no keys, no tracing, and a data folder that goes away."""

import logging
import os
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from model_server import KEY, ModelServer
from postgres_kit import emptied, postgres, programs

from guards.stores.chosen import close_stores

OURS = ("OPENAI_", "INTERLOCK_", "LANGSMITH_", "LANGCHAIN_")

for name in [name for name in os.environ if name.startswith(OURS)]:
    del os.environ[name]  # also for fixtures that outlive one test
os.environ["LANGSMITH_TRACING"] = "false"
os.environ["LANGSMITH_TEST_TRACKING"] = "false"


@pytest.fixture(autouse=True)
def data_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The data folder of this test, also for processes that it starts."""
    folder = tmp_path / "data"
    monkeypatch.setenv("INTERLOCK_DATA", str(folder))
    monkeypatch.setenv("INTERLOCK_STORE", "memory")
    return folder


@pytest.fixture(autouse=True)
def fresh_process() -> Iterator[None]:
    """What a test leaves in the process is not there for the next one: a silenced log, books, open circuits, clients.

    `ChatOpenAI` shares a client between all models of one address, with connections of the loop that made them; a later
    test may be given the same port and finds them, its own loop another one: "Event loop is closed".
    """
    yield
    logging.getLogger("interlock").setLevel(logging.NOTSET)
    close_stores()
    if clients := sys.modules.get("langchain_openai.chat_models._client_utils"):
        clients._cached_async_httpx_client.cache_clear()
        clients._cached_sync_httpx_client.cache_clear()


@pytest.fixture
def server(monkeypatch: pytest.MonkeyPatch) -> Iterator[ModelServer]:
    """A running model server that the environment points at."""
    from nodes import models

    monkeypatch.setattr(models, "_without_schema", set())
    with ModelServer() as running:
        monkeypatch.setenv("OPENAI_BASE_URL", running.url)
        monkeypatch.setenv("OPENAI_API_KEY", KEY)
        yield running


@pytest.fixture(scope="session")
def postgres_url() -> Iterator[str]:
    """A running PostgreSQL server, for all tests that need one."""
    if programs() is None:
        pytest.skip("no PostgreSQL: neither the wheel pgserver nor Debian's package is installed")
    with postgres() as url:
        yield url


@pytest.fixture(params=["sqlite", "postgres"])
def shared(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """What INTERLOCK_STORE says in every process of a test."""
    if request.param == "postgres":
        return emptied(request.getfixturevalue("postgres_url"))
    return str(tmp_path / "shared.sqlite")
