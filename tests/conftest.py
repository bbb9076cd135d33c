"""Fixtures that several files share."""

from collections.abc import Iterator

import pytest
from model_server import KEY, ModelServer

MODEL_VARIABLES = ("OPENAI_API_KEY", "OPENAI_BASE_URL", "INTERLOCK_MODEL", "INTERLOCK_PRICE")


@pytest.fixture(autouse=True)
def no_model(monkeypatch: pytest.MonkeyPatch) -> None:
    """No test talks to a model that it did not ask for, whatever the developer's environment says."""
    for name in MODEL_VARIABLES:
        monkeypatch.delenv(name, raising=False)


@pytest.fixture
def server(no_model: None, monkeypatch: pytest.MonkeyPatch) -> Iterator[ModelServer]:
    """A running model server that the environment points at."""
    from nodes import models

    monkeypatch.setattr(models, "_without_schema", set())
    with ModelServer() as running:
        monkeypatch.setenv("OPENAI_BASE_URL", running.url)
        monkeypatch.setenv("OPENAI_API_KEY", KEY)
        yield running
