"""What runs apart is killed when its time is over, whatever it does, and tells in plain words what became of it."""

import asyncio
import contextlib
import os
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from apart_kit import double, fails, large, never_yields, unreadable
from apart_tools import decorated, look
from kit import LOOSE, Log, Written, chain, says
from langgraph.checkpoint.memory import InMemorySaver

from guards import Permanent, TimedOut, Transient, apart, closing, guard, request_stop
from guards.running.scope import forget_stop

PATIENCE = 60.0
SCRIPT = """
import asyncio, sys
from apart_kit import never_yields
from guards import apart
asyncio.run(apart(never_yields)(sys.argv[1], child=True))
"""
THREAD = """
import asyncio, sys
from apart_kit import never_yields
asyncio.run(asyncio.wait_for(asyncio.to_thread(never_yields, sys.argv[1]), 0.1))
"""


def python(script: str, *args: str) -> "subprocess.Popen[bytes]":
    """A process that runs a script."""
    env = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
    return subprocess.Popen([sys.executable, "-c", script, *args], env=env)


@pytest.fixture
def fifo(tmp_path: Path) -> str:
    """A pipe with a name: it ends when every process that has it open for writing is gone."""
    path = tmp_path / "alive"
    os.mkfifo(path)
    return str(path)


class Life:
    """The life of a process that has a pipe open."""

    def __init__(self, fifo: str) -> None:
        self._pipe = Path(fifo).open()  # noqa: SIM115
        self.pid = int(self._pipe.readline())

    def wait_for_its_end(self) -> None:
        assert self._pipe.read() == ""
        self._pipe.close()


async def begun(fifo: str) -> Life:
    return await asyncio.wait_for(asyncio.to_thread(Life, fifo), PATIENCE)


async def gone(life: Life) -> None:
    await asyncio.wait_for(asyncio.to_thread(life.wait_for_its_end), PATIENCE)


async def test_a_call_gives_its_result() -> None:
    assert await apart(double)(21) == 42
    assert await apart(double)(21, twice=True) == 84


async def test_it_may_decorate_a_function_and_stand_under_a_tool() -> None:
    assert await decorated(1) == 2
    assert await look.ainvoke({"number": 1}) == 2
    assert look.description == "Look a number up."


async def test_c_that_never_yields_is_killed_with_its_children_when_its_time_is_over(fifo: str) -> None:
    call = asyncio.create_task(apart(seconds=2.0)(never_yields)(fifo, child=True))
    life = await begun(fifo)
    with pytest.raises(TimedOut, match="within 2 s"):
        await call
    await gone(life)


async def test_it_is_killed_with_its_attempt(fifo: str) -> None:
    async def node(state: Log) -> Written:
        await apart(never_yields)(fifo)
        return {"log": ["late"]}

    graph = guard(chain(node, closing(says("last"))), LOOSE.but(seconds=600, timeout=600))
    graph = graph.copy(update={"checkpointer": InMemorySaver()})
    run = asyncio.create_task(graph.ainvoke({"log": []}, {"configurable": {"thread_id": "apart"}}))
    life = await begun(fifo)
    request_stop("apart", "stopped by the user")
    assert (await run)["log"] == ["last"]
    forget_stop("apart")
    await gone(life)


async def test_it_is_killed_when_its_caller_is_cancelled(fifo: str) -> None:
    call = asyncio.create_task(apart(never_yields)(fifo))
    life = await begun(fifo)
    call.cancel()
    await gone(life)
    with pytest.raises(asyncio.CancelledError):
        await call


async def test_it_dies_with_the_process_that_called_it(fifo: str) -> None:
    with python(SCRIPT, fifo) as parent:
        life = await begun(fifo)
        parent.send_signal(signal.SIGKILL)
        await gone(life)


async def test_bare_the_same_function_in_a_thread_stops_the_whole_process(fifo: str) -> None:
    with python(THREAD, fifo) as process:
        life = await begun(fifo)
        with pytest.raises(subprocess.TimeoutExpired):
            process.wait(1.0)
        process.kill()
        await gone(life)


@pytest.mark.parametrize(
    ("how", "error", "told"),
    [
        ("ours", Transient, "ask again"),
        ("foreign", KeyError, "key"),
        ("unreadable", Permanent, "Odd"),
        ("exit", Permanent, "it raised SystemExit"),
        ("SIGSEGV", Permanent, r"fails: its process ended without an answer \(SIGSEGV\)"),
    ],
)
async def test_what_it_raises_is_told(how: str, error: Any, told: str) -> None:
    with pytest.raises(error, match=told):
        await apart(fails)(how)


async def test_a_result_that_is_too_large_is_not_taken() -> None:
    with pytest.raises(Permanent, match="over the limit of 1,000"):
        await apart(output_bytes=1_000)(large)(2_000)


async def test_what_cannot_be_pickled_is_told() -> None:
    with pytest.raises(Permanent, match="its arguments cannot be pickled"):
        await apart(double)(lambda: None)  # type: ignore[arg-type]
    with pytest.raises(Permanent, match="its result cannot be pickled"):
        await apart(unreadable)()


def test_a_function_that_another_process_cannot_find_is_refused() -> None:
    def inside() -> None: ...

    for function in (inside, lambda: None):
        with pytest.raises(ValueError, match="move it to the top of a module"):
            apart(function)


def open_files() -> int:
    """How many files this process has open."""
    return len(list(Path("/dev/fd").iterdir()))


def children() -> int:
    """How many children it has that nobody waited for."""
    with contextlib.suppress(ChildProcessError):
        return 1 + os.waitpid(-1, os.WNOHANG)[0]
    return 0


async def test_many_calls_leave_no_process_and_no_pipe() -> None:
    before = open_files()
    assert await asyncio.gather(*(apart(double)(number) for number in range(8))) == [2 * n for n in range(8)]
    assert open_files() <= before and children() == 0
