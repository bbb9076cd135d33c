"""At the end of a run nothing it started is alive: zombies of each kind outlive the bare graph, and no guarded one."""

import asyncio
import contextlib
import contextvars
import os
import socket
import subprocess
import sys
import threading
from collections.abc import Awaitable, Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import httpx
import psutil
import pytest
from kit import LOOSE, Log, Written, chain, named, says
from langchain_core.tools import tool

from guards import closing, detached, fallback, guard, reaped
from guards.ending.reaper import reaper
from guards.ending.watchdog import watchdog

PATIENCE = 60.0
NAP = "import time; time.sleep(1e6)"


async def until(event: threading.Event) -> bool:
    """Whether it happens, waited for aside."""
    return await asyncio.get_running_loop().run_in_executor(AFTER, event.wait, PATIENCE)


AFTER = ThreadPoolExecutor(4)
"""Threads of the tests themselves."""


def guarded(node: Any, **limits: Any) -> Any:
    return guard(chain(fallback(node, says("plain")), closing(says("last"))), LOOSE.but(**limits))


async def run(graph: Any) -> dict[str, Any]:
    return await asyncio.wait_for(graph.ainvoke({"log": []}), PATIENCE)  # type: ignore[no-any-return]


async def leaves(thing: Callable[[], Awaitable[object] | object], hang: bool = False) -> Any:
    """A node that starts something and forgets it, or hangs."""

    async def node(state: Log) -> Written:
        started = thing()
        if isinstance(started, Awaitable):
            await started
        if hang:
            await asyncio.Event().wait()
        return {"log": ["node"]}

    return named("node", node)


# -- tasks


class Child:
    """A task that a node leaves behind."""

    def __init__(self) -> None:
        self.task: asyncio.Task[Any] | None = None

    def start(self) -> None:
        self.task = asyncio.create_task(asyncio.Event().wait())

    async def ended(self) -> bool:
        assert self.task is not None
        done, _ = await asyncio.wait({self.task}, timeout=PATIENCE)
        return bool(done)


async def test_bare_a_task_outlives_its_run() -> None:
    child = Child()
    await chain(await leaves(child.start)).compile().ainvoke({"log": []})
    assert child.task and not child.task.done()
    child.task.cancel()


@pytest.mark.parametrize("hang", [False, True])
async def test_a_task_is_gone_after_its_run(hang: bool) -> None:
    child, before = Child(), reaped().tasks
    await run(guarded(await leaves(child.start, hang), timeout=0.2 if hang else 60))
    assert await child.ended() and reaped().tasks > before


async def test_a_task_of_a_sub_agent_is_gone_after_its_run() -> None:
    child = Child()
    inner = guard(chain(await leaves(child.start)), LOOSE)

    async def outer(state: Log) -> Written:
        await inner.ainvoke({"log": []})
        assert await child.ended()
        return {"log": ["outer"]}

    assert (await run(guarded(outer, timeout=PATIENCE)))["log"] == ["outer", "last"]


async def test_a_task_is_gone_when_its_run_is_cancelled() -> None:
    child, begun = Child(), asyncio.Event()

    async def waits(state: Log) -> Written:
        begun.set()
        await asyncio.Event().wait()
        return {}

    graph = guard(chain(await leaves(child.start), waits), LOOSE.but(seconds=600, timeout=600))
    task = asyncio.create_task(graph.ainvoke({"log": []}))
    await begun.wait()
    assert child.task and not child.task.done()
    task.cancel()
    assert await child.ended()


async def test_what_is_detached_stays() -> None:
    child = Child()

    def start() -> None:
        with detached():
            child.start()

    await run(guarded(await leaves(start)))
    reaper.sweep(watchdog.running)
    await asyncio.sleep(0)
    assert child.task and not child.task.cancelling()
    child.task.cancel()


async def test_other_runs_keep_their_tasks() -> None:
    mine, other, begun, end = Child(), Child(), asyncio.Event(), asyncio.Event()

    async def waits(state: Log) -> Written:
        other.start()
        begun.set()
        await end.wait()
        assert other.task
        return {"log": ["kept" if not other.task.cancelling() else "lost"]}

    running = asyncio.create_task(run(guarded(waits, timeout=PATIENCE)))
    await begun.wait()
    await run(guarded(await leaves(mine.start)))
    assert await mine.ended()
    reaper.sweep(watchdog.running)
    end.set()
    assert (await running)["log"][0] == "kept"


# -- threads


def spin(begun: threading.Event, ended: threading.Event, stop: threading.Event) -> None:
    """A thread that never ends by itself."""
    begun.set()
    try:
        while not stop.is_set():
            pass
    finally:
        ended.set()


class Spinner:
    """A thread that a node leaves behind, one way or the other."""

    def __init__(self) -> None:
        self.begun, self.ended, self.stop = threading.Event(), threading.Event(), threading.Event()
        self.args = (self.begun, self.ended, self.stop)

    def start(self) -> None:
        threading.Thread(target=spin, args=self.args, daemon=True).start()

    async def aside(self) -> None:
        await asyncio.to_thread(spin, *self.args)

    async def as_tool(self) -> None:
        @tool
        def look() -> str:
            """Look."""
            spin(*self.args)
            return ""

        await look.ainvoke({})


@pytest.mark.filterwarnings("ignore::pytest.PytestUnhandledThreadExceptionWarning")
@pytest.mark.parametrize("way", ["start", "aside", "as_tool"])
async def test_a_thread_in_python_is_gone_after_its_run(way: str) -> None:
    spinner, before = Spinner(), reaped().threads
    await run(guarded(await leaves(getattr(spinner, way)), timeout=0.3))
    assert await until(spinner.ended) and reaped().threads > before
    assert await asyncio.to_thread(lambda: "the pool works on") == "the pool works on"


async def test_a_pools_thread_that_hands_its_result_over_is_left_alone() -> None:
    """It has done the node's work; under load it is still about that when the run has ended."""
    handing, go_on = threading.Event(), threading.Event()
    pool = ThreadPoolExecutor(1)

    def hand_over(_: object) -> None:
        handing.set()
        go_on.wait(PATIENCE)

    async def begins(state: Any) -> Any:
        busy = threading.Event()
        work = pool.submit(contextvars.copy_context().run, busy.wait, PATIENCE)
        work.add_done_callback(hand_over)
        busy.set()
        await asyncio.to_thread(handing.wait, PATIENCE)
        return {}

    before = reaped().threads
    await run(guarded(begins))
    reaper.sweep(watchdog.running)
    assert reaped().threads == before and not go_on.is_set()
    go_on.set()
    pool.shutdown()


async def test_bare_a_thread_outlives_its_run() -> None:
    spinner = Spinner()
    await chain(await leaves(spinner.start)).compile().ainvoke({"log": []})
    assert spinner.begun.is_set() and not spinner.ended.wait(0.3)
    spinner.stop.set()


async def test_a_thread_that_waits_for_a_silent_server_is_gone_after_its_run() -> None:
    ended = threading.Event()

    def ask(port: int) -> None:
        try:
            with socket.create_connection(("127.0.0.1", port)) as connection:
                connection.makefile("rb").readline()
        finally:
            ended.set()

    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
        await run(guarded(await leaves(lambda: asyncio.to_thread(ask, port)), timeout=0.3))
        assert await until(ended)


# -- child processes


@pytest.fixture
def fifo(tmp_path: Path) -> str:
    """A pipe with a name: it ends when every process that has it open for writing is gone."""
    path = tmp_path / "alive"
    os.mkfifo(path)
    return str(path)


STUBBORN = """
import pathlib, signal, subprocess, sys, time
signal.signal(signal.SIGTERM, signal.SIG_IGN)
told = pathlib.Path(sys.argv[1]).open("w")
subprocess.Popen([sys.executable, "-c", "import time; time.sleep(1e6)"], pass_fds=[told.fileno()])
print("up", file=told, flush=True)
time.sleep(1e6)
"""


class Process:
    """A process, and one of its own, that a node leaves behind and that do not listen to SIGTERM."""

    def __init__(self, fifo: str) -> None:
        self.fifo, self.command = fifo, [sys.executable, "-c", STUBBORN, fifo]
        self.up, self.gone = threading.Event(), threading.Event()
        AFTER.submit(self.watch)

    def watch(self) -> None:
        with Path(self.fifo).open() as pipe:
            pipe.readline()
            self.up.set()
            pipe.read()
        self.gone.set()

    async def start(self) -> None:
        subprocess.Popen(self.command)  # noqa: ASYNC220
        await until(self.up)

    async def start_by_asyncio(self) -> None:
        await asyncio.create_subprocess_exec(*self.command)
        await until(self.up)


@pytest.mark.parametrize("way", ["start", "start_by_asyncio"])
async def test_a_child_process_and_its_children_are_gone_after_their_run(way: str, fifo: str) -> None:
    process, before = Process(fifo), reaped().processes
    await run(guarded(await leaves(getattr(process, way)), timeout=PATIENCE))
    assert await until(process.gone) and reaped().processes == before + 1


async def test_bare_a_child_process_outlives_its_run(fifo: str) -> None:
    process = Process(fifo)
    await chain(await leaves(process.start)).compile().ainvoke({"log": []})
    assert not process.gone.wait(0.3)
    for child in psutil.Process().children(recursive=True):
        with contextlib.suppress(psutil.Error):
            if fifo in child.cmdline() or child.cmdline()[-1] == NAP:
                child.kill()
    assert await until(process.gone)


# -- sockets


class Server:
    """A server that answers each request, and tells when its connections are closed."""

    def __init__(self) -> None:
        self.closed = asyncio.Event()

    async def __aenter__(self) -> "Server":
        self.server = await asyncio.start_server(self.serve, "127.0.0.1", 0)
        self.url = f"http://127.0.0.1:{self.server.sockets[0].getsockname()[1]}/"
        return self

    async def __aexit__(self, *_: object) -> None:
        self.server.close()

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with contextlib.suppress(asyncio.IncompleteReadError, ConnectionError):
            while await reader.readuntil(b"\r\n\r\n"):
                writer.write(b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok")
                await writer.drain()
        self.closed.set()
        writer.close()

    async def gone(self) -> bool:
        return await asyncio.wait_for(self.closed.wait(), PATIENCE)


async def forgets_a_client(url: str) -> None:
    await httpx.AsyncClient().get(url)


async def forgets_a_connection(url: str) -> None:
    address = httpx.URL(url)
    await asyncio.get_running_loop().create_connection(asyncio.Protocol, address.host, address.port)


@pytest.mark.filterwarnings("ignore::ResourceWarning")
@pytest.mark.parametrize("how", [forgets_a_client, forgets_a_connection])
async def test_a_connection_that_a_node_forgot_is_closed_after_its_run(how: Any) -> None:
    before = reaped().sockets
    async with Server() as server:
        await run(guarded(await leaves(lambda: how(server.url))))
        assert await server.gone()
        assert how is forgets_a_client or reaped().sockets > before  # a client may be collected by itself before that


async def test_bare_a_connection_that_a_node_forgot_stays_open() -> None:
    async with Server() as server:
        await chain(await leaves(lambda: forgets_a_connection(server.url))).compile().ainvoke({"log": []})
        with pytest.raises(TimeoutError):
            await asyncio.wait_for(server.closed.wait(), 0.3)


async def test_a_client_that_runs_share_stays_open() -> None:
    async with Server() as server, httpx.AsyncClient() as client:
        for _ in range(2):
            await run(guarded(await leaves(lambda: client.get(server.url))))
        reaper.sweep(watchdog.running)
        assert (await client.get(server.url)).text == "ok" and not server.closed.is_set()


# -- the sweep


SWEPT = """
import asyncio, logging, sys, threading
from kit import LOOSE, chain
from langgraph.checkpoint.memory import InMemorySaver
from langgraph.types import interrupt
from guards import guard, reaped

left = []

async def pauses(state):
    left.append(asyncio.create_task(asyncio.Event().wait()))
    interrupt("well?")

class Told(logging.Handler):
    def emit(self, record):
        print(record.getMessage(), record.kind, record.node, bool(record.trace_id), flush=True)

logging.getLogger("interlock").addHandler(Told())
async def main():
    graph = guard(chain(pauses), LOOSE).copy(update={"checkpointer": InMemorySaver()})
    await graph.ainvoke({"log": []}, {"configurable": {"thread_id": "t"}})
    await asyncio.wait(left)
    assert reaped().sweeps and reaped().tasks == 1
asyncio.run(main())
"""


def test_a_long_lived_process_is_swept_and_what_is_found_is_counted_and_told() -> None:
    env = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path), "INTERLOCK_SWEEP_SECONDS": "0.5"}
    done = subprocess.run(
        [sys.executable, "-c", SWEPT], env=env, capture_output=True, text=True, timeout=PATIENCE, check=False
    )
    assert done.returncode == 0, done.stderr
    assert "left behind by a node, ending it task pauses True" in done.stdout
