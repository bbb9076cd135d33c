"""Whatever hangs is bounded: each kind of it is shown to hang on the bare graph, and to be gone under guard."""

import asyncio
import contextlib
import functools
import os
import re
import subprocess
import sys
import threading
import time
from collections.abc import Awaitable, Callable
from typing import Any

import httpx
import pytest
from kit import LOOSE, Log, Written, chain, named, says
from langgraph.checkpoint.memory import InMemorySaver

from guards import closing, fallback, guard, request_stop
from guards.running.scope import forget_stop

QUICK = LOOSE.but(timeout=0.2)
PATIENCE = 60.0
"""Seconds that a limit which does not hold never keeps, on a machine that is busy with other things too."""


def blocks(how: Callable[[], object], begun: Callable[[], object] = lambda: None) -> Any:
    """A node that blocks its event loop, unseen by the checks."""

    async def node(state: Log) -> Written:
        begun()
        how()
        return {"log": ["late"]}

    return named("blocks", node)


def spin() -> None:
    while True:
        pass


def spin_and_retry() -> None:
    while True:
        try:
            spin()
        except Exception:
            continue


NAP = functools.partial(time.sleep, 1e6)
REGEX = functools.partial(re.match, r"(a+)+$", "a" * 60 + "b")
POWER = functools.partial(pow, 3, 10**11)
LOCK = functools.partial(threading.Event().wait)


HOGS = {
    "a loop": spin,
    "a loop that retries": spin_and_retry,
    "sleep": NAP,
    "a regex": REGEX,
    "pow": POWER,
    "a lock": LOCK,
}


@pytest.mark.parametrize("hog", HOGS)
async def test_a_node_that_blocks_the_event_loop_of_the_main_thread_is_interrupted(hog: str) -> None:
    graph = guard(chain(says("a"), fallback(blocks(HOGS[hog]), says("plain")), closing(says("last"))), QUICK)
    began = time.monotonic()
    result = await graph.ainvoke({"log": []})
    assert result["log"] == ["a", "plain", "last"] and result["run"].outcome == "partial"
    assert result["run"].missing[0].status == "timed out"
    assert time.monotonic() - began < PATIENCE


def test_bare_a_node_that_blocks_its_event_loop_stops_everything_on_it() -> None:
    begun, end, answered = threading.Event(), threading.Event(), threading.Event()
    loops: list[asyncio.AbstractEventLoop] = []

    async def hog(state: Log) -> Written:
        loops.append(asyncio.get_running_loop())
        begun.set()
        end.wait(PATIENCE)
        return {}

    async def bounded() -> None:
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(chain(hog).compile().ainvoke({"log": []}), 0.1)

    thread = threading.Thread(target=lambda: asyncio.run(bounded()))
    thread.start()
    begun.wait(PATIENCE)
    loops[0].call_soon_threadsafe(answered.set)
    assert not answered.wait(0.5)
    end.set()
    thread.join(PATIENCE)


def in_thread(work: Callable[[], Awaitable[Any]]) -> list[Any]:
    """Run it in an event loop on another thread."""
    ended: list[Any] = []
    thread = threading.Thread(target=lambda: ended.append(asyncio.run(work())), daemon=True)  # type: ignore[arg-type]
    thread.start()
    thread.join(PATIENCE)
    return ended


@pytest.mark.parametrize("hog", [spin, spin_and_retry])
def test_a_python_loop_on_another_threads_event_loop_is_interrupted(hog: Any) -> None:
    graph = guard(chain(fallback(blocks(hog), says("plain"))), QUICK)
    (result,) = in_thread(lambda: graph.ainvoke({"log": []}))
    assert result["log"] == ["plain"] and result["run"].missing[0].status == "timed out"


@pytest.mark.parametrize("ignored", [asyncio.CancelledError, (Exception, asyncio.CancelledError)])
async def test_a_node_that_swallows_every_cancellation_is_gone_when_the_run_ends(ignored: Any) -> None:
    ended = asyncio.Event()

    async def retries(state: Log) -> Written:
        try:
            while True:
                try:
                    await asyncio.Event().wait()
                except ignored:
                    continue
        finally:
            ended.set()

    result = await guard(chain(fallback(retries, says("plain"))), QUICK).ainvoke({"log": []})
    assert result["log"] == ["plain"] and ended.is_set()


async def test_bare_a_node_that_swallows_every_cancellation_outlives_its_run() -> None:
    begun, swallowed, end = asyncio.Event(), asyncio.Event(), asyncio.Event()

    async def retries(state: Log) -> Written:
        begun.set()
        while not end.is_set():
            try:
                await end.wait()
            except asyncio.CancelledError:
                swallowed.set()
        return {}

    run = asyncio.create_task(chain(retries).compile().ainvoke({"log": []}))
    await begun.wait()
    run.cancel()
    await swallowed.wait()
    done, _ = await asyncio.wait({run}, timeout=0.3)
    assert not done
    end.set()
    await asyncio.wait({run})


async def test_a_stop_reaches_a_node_that_swallows_it_long_before_its_time_is_over() -> None:
    begun = asyncio.Event()

    async def retries(state: Log) -> Written:
        while True:
            try:
                begun.set()
                await asyncio.Event().wait()
            except asyncio.CancelledError:
                continue

    graph = guard(chain(retries), LOOSE.but(seconds=600, timeout=600)).copy(update={"checkpointer": InMemorySaver()})
    run = asyncio.create_task(graph.ainvoke({"log": []}, {"configurable": {"thread_id": "stop-time"}}))
    await begun.wait()
    request_stop("stop-time", "stopped by the user")
    result = await asyncio.wait_for(run, PATIENCE)
    forget_stop("stop-time")
    assert result["run"].stop_reason == "stopped by the user"


def test_a_stop_from_another_thread_reaches_a_node_that_blocks_its_event_loop() -> None:
    begun = threading.Event()
    graph = guard(chain(blocks(NAP, begun.set)), LOOSE.but(seconds=600, timeout=600))
    graph = graph.copy(update={"checkpointer": InMemorySaver()})

    def stop() -> None:
        begun.wait(PATIENCE)
        request_stop("stop-hog", "stopped by the user")

    thread = threading.Thread(target=stop)
    thread.start()
    result = asyncio.run(graph.ainvoke({"log": []}, {"configurable": {"thread_id": "stop-hog"}}))
    thread.join()
    forget_stop("stop-hog")
    assert result["run"].stop_reason == "stopped by the user"


def test_a_signal_handler_of_the_users_stays() -> None:
    code = (
        "import signal, asyncio; mine = lambda *_: None; signal.signal(signal.SIGURG, mine)\n"
        "from kit import LOOSE, chain, says; from guards import guard\n"
        "asyncio.run(guard(chain(says('a')), LOOSE).ainvoke({'log': []}))\n"
        "assert signal.getsignal(signal.SIGURG) is mine"
    )
    subprocess.run(
        [sys.executable, "-c", code], check=True, env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
    )


class Drip:
    """A server whose reply never ends, a byte at a time."""

    async def __aenter__(self) -> "Drip":
        self.gone = asyncio.Event()
        self.server = await asyncio.start_server(self.serve, "127.0.0.1", 0)
        self.url = f"http://127.0.0.1:{self.server.sockets[0].getsockname()[1]}/"
        return self

    async def __aexit__(self, *_: object) -> None:
        self.server.close()

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with contextlib.suppress(ConnectionError, asyncio.IncompleteReadError):
            await reader.readuntil(b"\r\n\r\n")
            writer.write(b"HTTP/1.1 200 OK\r\ncontent-length: 1000000\r\n\r\n")
            while not writer.is_closing():
                writer.write(b".")
                await writer.drain()
                await asyncio.sleep(0.02)
        self.gone.set()


def gets(url: str) -> Any:
    """A node of an author whose client has a time-out, which is one for each read."""

    async def node(state: Log) -> Written:
        async with httpx.AsyncClient(timeout=1) as client:
            return {"log": [(await client.get(url)).text]}

    return named("gets", node)


async def test_bare_a_reply_that_drips_never_ends() -> None:
    async with Drip() as drip:
        with pytest.raises(TimeoutError):
            await asyncio.wait_for(chain(gets(drip.url)).compile().ainvoke({"log": []}), 1.5)


async def test_a_reply_that_drips_ends_with_its_attempt_and_its_connection_is_closed() -> None:
    async with Drip() as drip:
        result = await guard(chain(fallback(gets(drip.url), says("plain"))), QUICK).ainvoke({"log": []})
        assert result["log"] == ["plain"] and result["run"].missing[0].status == "timed out"
        await asyncio.wait_for(drip.gone.wait(), PATIENCE)


async def test_a_node_that_nothing_can_end_is_left_behind_and_named_in_the_log(caplog: Any) -> None:
    end = asyncio.Event()

    async def deaf(state: Log) -> Written:
        while not end.is_set():
            with contextlib.suppress(BaseException):
                await end.wait()
        return {"log": ["late"]}

    result = await guard(chain(fallback(deaf, says("plain"))), QUICK).ainvoke({"log": []})
    end.set()
    assert result["log"] == ["plain"]
    assert [one.node for one in caplog.records if one.getMessage() == "node left behind"] == ["deaf"]


WOKEN = """
import signal
from guards.ending.watchdog import watchdog

rung = 0
def ring(*_):
    global rung
    rung += 1
    watchdog._call()

watchdog._begin()
signal.signal(signal.SIGALRM, ring)
signal.setitimer(signal.ITIMER_REAL, 1e-4, 1e-4)
while rung < 2_000:
    watchdog._call()
signal.setitimer(signal.ITIMER_REAL, 0)
print("awake")
"""


def test_the_watchdog_can_be_called_from_a_signal_handler_in_the_middle_of_a_call() -> None:
    done = subprocess.run([sys.executable, "-c", WOKEN], capture_output=True, text=True, timeout=60)
    assert done.stdout == "awake\n", done.stderr
