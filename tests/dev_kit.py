"""A real `langgraph dev` in a folder of its own, with our configuration and a test's graphs beside ours."""

import json
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
import pytest
from langgraph_sdk import get_client

ROOT = Path(__file__).parent.parent
START_SECONDS = 90
STOP_SECONDS = 20


@dataclass
class Dev:
    """A running server."""

    url: str
    log: Path

    def client(self, key: str | None = None) -> Any:
        return get_client(url=self.url, api_key=key)


@contextmanager
def serving(folder: Path, graphs: str, names: tuple[str, ...], more: Mapping[str, str]) -> Iterator[Dev]:
    """Serve our graphs and those of a text; `more` is added to the environment."""
    (folder / "small.py").write_text(graphs)
    config = json.loads((ROOT / "langgraph.json").read_text())
    ours = {name: f"{ROOT}/{path.removeprefix('./')}" for name, path in config["graphs"].items()}
    config |= {"dependencies": ["."], "graphs": ours | {name: f"./small.py:{name}" for name in names}}
    (folder / "langgraph.json").write_text(json.dumps(config))
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    with (folder / "log").open("w") as log:
        process = subprocess.Popen(_command(port), cwd=folder, env=environment(folder) | more, stdout=log, stderr=log)
    running = Dev(f"http://127.0.0.1:{port}", folder / "log")
    try:
        _wait_until_ready(process, running)
        yield running
    finally:
        _end(process)


def _command(port: int) -> list[str]:
    options = ["--port", str(port), "--host", "127.0.0.1", "--no-browser", "--no-reload", "--n-jobs-per-worker", "4"]
    return [sys.executable, "-m", "langgraph_cli", "dev", *options]


def environment(folder: Path) -> dict[str, str]:
    path = os.pathsep.join([str(ROOT), str(ROOT / "tests")])
    ours = {"PYTHONPATH": path, "INTERLOCK_DATA": str(folder / "data"), "LANGGRAPH_CLI_NO_ANALYTICS": "1"}
    return {**os.environ, **ours, "LANGSMITH_TRACING": "false", "NO_COLOR": "1"}


def _wait_until_ready(process: "subprocess.Popen[bytes]", running: Dev) -> None:
    deadline = time.monotonic() + START_SECONDS
    while time.monotonic() < deadline and process.poll() is None:
        try:
            if httpx.get(f"{running.url}/ok", timeout=2).is_success:
                return
        except httpx.TransportError:
            time.sleep(0.2)
    pytest.fail(f"langgraph dev did not start:\n{running.log.read_text()[-4000:]}")


def _end(process: "subprocess.Popen[bytes]") -> None:
    process.send_signal(signal.SIGINT)
    try:
        process.wait(STOP_SECONDS)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait(STOP_SECONDS)
