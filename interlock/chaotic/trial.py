"""Trial: one run of a graph with one fault, and what it left; in a process that may die of it."""

import asyncio
import os
import random
import resource
import signal
import threading
import time
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

import aiosqlite
from langgraph.checkpoint.sqlite.aio import AsyncSqliteSaver

from guards.drawings.words import words
from guards.guard import drawing_of, guard, nodes_of, policy_of
from guards.policy import Policy
from interlock.chaotic.calls import Storm, storm
from interlock.chaotic.faults import faulty
from state.guarded import Run

THREAD: Final[Any] = {"configurable": {"thread_id": "trial"}}
SLACK_SECONDS: Final = 3.0
"""What a run may end late by on a busy machine."""

QUIET_SECONDS: Final = 5.0
"""After it nothing that the run started may be alive."""

MEMORY: Final = 512 * 1024 * 1024
"""Bytes above what the process has, where memory is low."""

OUTCOMES: Final = frozenset({"complete", "partial", "refused", "stopped"})


@dataclass(frozen=True)
class Spec:
    """What a trial does. `fault`: a name in the table. `kill`: at which saved checkpoint the process dies, 0: never."""

    fault: str = ""
    node: str = ""
    kill: int = 0
    resume: bool = False
    seconds: float = 10.0
    seed: int = 0
    folder: str = ""
    given: dict[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class Verdict:
    """What came of it. `broken`: the invariants that did not hold; empty is good."""

    broken: tuple[str, ...] = ()
    outcome: str = ""
    keys: tuple[str, ...] = ()
    missing: tuple[str, ...] = ()
    ran: dict[str, int] = field(default_factory=dict)
    saves: int = 0
    seconds: float = 0.0


class Deadly(AsyncSqliteSaver):
    """LangGraph's saver; after so many checkpoints the process is killed."""

    saves = 0
    kill = 0

    async def aput(self, *args: Any, **kwargs: Any) -> Any:
        """Keep a checkpoint, and die if it is the one."""
        kept = await super().aput(*args, **kwargs)
        self.saves += 1
        if self.saves == self.kill:
            os.kill(os.getpid(), signal.SIGKILL)
        return kept


def try_out(graph: Any, spec: Spec) -> Verdict:
    """Run the graph as the spec says."""
    if spec.fault == "low memory":
        _limit_memory()
    folder = Path(spec.folder)
    if spec.fault == "damaged checkpoints" and spec.resume:
        _damage(folder / "checkpoints.sqlite", spec.seed)
    before = set(threading.enumerate())
    began, real = time.monotonic(), time.time
    try:
        return asyncio.run(_tried(graph, spec, folder, before))
    except Exception as error:
        if spec.fault == "damaged checkpoints":
            return Verdict(outcome=f"said: {type(error).__name__}", seconds=time.monotonic() - began)
        return Verdict((f"raised {type(error).__name__}",), seconds=time.monotonic() - began)
    finally:
        time.time = real


async def _tried(graph: Any, spec: Spec, folder: Path, before: set[threading.Thread]) -> Verdict:
    log = folder / "ran.log"
    policy = _policy(policy_of(graph) or Policy(), spec)
    drawing = faulty(drawing_of(graph), log, spec.node, spec.fault)
    own = {**words(drawing).policies, **nodes_of(graph)}
    shortened = {name: _short(limits, policy) for name, limits in own.items()}
    tried = guard(drawing, policy, name=graph.get_name(), nodes=shortened)
    began = time.monotonic()
    with storm(spec.fault if spec.fault in STORMS else "", spec.seed) as calls:
        async with aiosqlite.connect(folder / "checkpoints.sqlite") as database:
            saver = Deadly(database)
            saver.kill = spec.kill
            lasting = tried.copy(update={"checkpointer": saver})
            given = None if spec.resume else spec.given
            async with asyncio.timeout((policy.seconds or spec.seconds) + 4 * SLACK_SECONDS):
                result = await lasting.ainvoke(given, THREAD, durability="sync")
            if spec.resume and not (isinstance(result, dict) and "run" in result):
                result = (await lasting.aget_state(THREAD)).values
            saves = saver.saves
    seconds = time.monotonic() - began
    ran = Counter(log.read_text().split()) if log.exists() else Counter[str]()
    run = result.get("run") if isinstance(result, dict) else None
    broken = [*_broken(run, policy, seconds, calls, spec), *await _alive(before)]
    missing = tuple(entry.what for entry in run.missing) if isinstance(run, Run) else ()
    keys = tuple(sorted(key for key in result if key != "run")) if isinstance(result, dict) else ()
    return Verdict(tuple(broken), getattr(run, "outcome", ""), keys, missing, dict(ran), saves, seconds)


STORMS: Final = ("429 storm", "resets", "partition")


def _policy(policy: Policy, spec: Spec) -> Policy:
    """The graph's policy with its times shortened, so that a hang costs little."""
    seconds = spec.seconds if policy.seconds is None else min(policy.seconds, spec.seconds)
    if spec.fault == "no time":
        seconds = 0.05
    short = policy.but(seconds=seconds, timeout=min(policy.timeout or seconds, seconds / 4), degrade=())
    return short.but(calls=0, tokens=0, dollars=0.0) if spec.fault == "no budget" else short


def _short(limits: Policy, run: Policy) -> Policy:
    return limits.but(timeout=min(limits.timeout or run.timeout or 1.0, run.timeout or 1.0))


def _broken(run: Any, policy: Policy, seconds: float, calls: Storm, spec: Spec) -> Iterator[str]:
    """The invariants of one run that did not hold."""
    if not isinstance(run, Run) or run.outcome not in OUTCOMES:
        yield "no valid outcome"
        return
    if policy.seconds is not None and seconds > policy.seconds + SLACK_SECONDS:
        yield f"ended after {seconds:.1f} s, {policy.seconds:g} s are allowed"
    spent = run.spent
    for name, used, allowed in (
        ("calls", spent.calls, policy.calls),
        ("tokens", spent.input_tokens + spent.output_tokens, policy.tokens),
        ("dollars", spent.dollars, policy.dollars),
    ):
        if allowed is not None and used > allowed * (1 + 1e-9):
            yield f"{used:g} {name} used, {allowed:g} are allowed"
    if not spec.resume and spent.calls != calls.made:
        yield f"{calls.made} calls made, {spent.calls} in the books"


async def _alive(before: set[threading.Thread]) -> list[str]:
    """What the run left alive, after a moment to go."""
    import psutil

    end = time.monotonic() + QUIET_SECONDS
    while True:
        tasks = [task for task in asyncio.all_tasks() if task is not asyncio.current_task()]
        threads = [one for one in set(threading.enumerate()) - before if not one.daemon and not _is_pooled(one)]
        children = psutil.Process().children()
        left = {"task": tasks, "thread": threads, "process": children}
        found = [f"{len(those)} {what}(s) left alive" for what, those in left.items() if those]
        if not found or time.monotonic() > end:
            return found
        await asyncio.sleep(0.05)


def _is_pooled(thread: threading.Thread) -> bool:
    """A pool's thread that waits for work; asyncio ends it with the loop."""
    return thread.name.startswith(("asyncio_", "ThreadPoolExecutor", "interlock"))


def _limit_memory() -> None:
    used = int(Path("/proc/self/statm").read_text().split()[0]) * resource.getpagesize()
    resource.setrlimit(resource.RLIMIT_AS, (used + MEMORY, used + MEMORY))


def _damage(path: Path, seed: int) -> None:
    """Change some bytes of a database, or cut it."""
    chance, data = random.Random(seed), bytearray(path.read_bytes())  # noqa: S311 - reproducible
    if chance.random() < 0.3:
        data = data[: len(data) // 2]
    for _ in range(20):
        data[chance.randrange(len(data))] = chance.randrange(256)
    path.write_bytes(data)
    for suffix in ("-wal", "-shm"):
        Path(f"{path}{suffix}").unlink(missing_ok=True)
