"""A boss and its workers: caps hold, a failure costs one task, all goes on from the board (guide: C3, A2, A4, M4)."""

import asyncio
import os
import signal
import subprocess
import sys
from pathlib import Path
from typing import Annotated, Any

import pytest
from kit import LOOSE
from langgraph.graph import END, START, StateGraph
from typing_extensions import TypedDict

from guards import Policy, Unsafe, check, coordinate, describe, fallback, guard
from state.board import Board, Order, Orders, Task, post


class Project(TypedDict, total=False):
    goal: str
    board: Annotated[Board, post]


async def plan(state: Project) -> Project:
    return {"goal": "a report"}


async def report(state: Project) -> Project:
    return {"goal": state["board"].answer or "none"}


def ordering(*rounds: list[Order], answer: str = "done") -> Any:
    """A boss that orders these things, one list each time it is asked."""
    asked: list[int] = []

    async def boss(state: Project) -> Orders:
        asked.append(len(state["board"].tasks))
        number = len(asked) - 1
        return Orders(orders=tuple(rounds[number])) if number < len(rounds) else Orders(answer=answer)

    boss.asked = asked  # type: ignore[attr-defined]
    return boss


async def writer(task: Task) -> str:
    return f"wrote {task.instruction}"


async def reader(task: Task) -> str:
    return f"read {task.instruction}"


def orders(worker: str, number: int) -> list[Order]:
    return [Order(worker=worker, instruction=str(each)) for each in range(number)]


def drawing(boss: Any, workers: Any = (writer, reader), **said: Any) -> Any:
    graph: Any = StateGraph(Project)
    graph.add_node("plan", plan)
    graph.add_node("report", report)
    graph.add_edge(START, "plan")
    coordinate(graph, "plan", boss, workers, then="report", **said)
    graph.add_edge("report", END)
    return graph


async def done(boss: Any, *workers: Any, policy: Policy = LOOSE, **said: Any) -> tuple[Board, Any]:
    result = await guard(drawing(boss, workers or (writer, reader), **said), policy).ainvoke({})
    assert result["goal"] == (result["board"].answer or "none")
    return result["board"], result["run"]


async def test_a_boss_hands_out_tasks_and_gets_their_results() -> None:
    boss = ordering([*orders("writer", 1), *orders("reader", 2)], orders("writer", 1))
    board, run = await done(boss)
    assert [(task.worker, task.result) for task in board.tasks] == [
        ("writer", "wrote 0"),
        ("reader", "read 0"),
        ("reader", "read 1"),
        ("writer", "wrote 0"),
    ]
    assert boss.asked == [0, 3, 4] and board.answer == "done" and run.outcome == "complete"


async def test_no_more_workers_run_at_once_than_may() -> None:
    running, most = set[int](), 0

    async def worker(task: Task) -> str:
        nonlocal most
        running.add(task.number)
        most = max(most, len(running))
        await asyncio.sleep(0)
        running.discard(task.number)
        return "ok"

    boss = ordering(orders("worker", 9))
    board, run = await done(boss, worker, at_once=4)
    assert len(board.of("done")) == 9 and most == 4 and run.outcome == "complete"
    assert boss.asked == [0, 9]  # what waited was handed out without asking the boss


async def test_orders_above_the_cap_are_refused_and_told() -> None:
    board, run = await done(ordering(orders("writer", 50)), at_most=3)
    assert len(board.of("done")) == 3 and run.outcome == "partial"
    assert run.stop_reason == "tasks: 47 order(s) above the cap of 3 tasks"


async def test_a_boss_that_never_stops_is_stopped_by_the_cap() -> None:
    async def insatiable(state: Project) -> Orders:
        return Orders(orders=tuple(orders("writer", 1)))

    board, run = await done(insatiable, at_most=5)
    assert len(board.of("done")) == 5 and run.outcome == "partial"


async def test_a_worker_that_fails_costs_its_task_and_the_boss_may_order_another_instead() -> None:
    async def broken(task: Task) -> str:
        raise ValueError("secret")

    instead = Order(worker="writer", instruction="again", instead_of=1)
    board, run = await done(ordering(orders("broken", 1), [instead]), broken, writer)
    assert [task.status for task in board.tasks] == ["replaced", "done"] and run.outcome == "complete"


async def test_a_task_that_stays_failed_makes_the_run_partial() -> None:
    async def silent(task: Task) -> str:
        await asyncio.Event().wait()
        return ""

    boss = ordering([*orders("silent", 1), *orders("writer", 1)])
    board, run = await done(boss, silent, writer, policy=LOOSE.but(timeout=0.2))
    assert [task.status for task in board.tasks] == ["failed", "done"]
    assert run.outcome == "partial" and run.stop_reason == "task 1 (silent): its worker gave no result"


async def test_an_order_for_nobody_is_a_failed_task() -> None:
    board, run = await done(ordering([Order(worker="nobody", instruction="x"), *orders("writer", 1)]))
    assert board.tasks[0].reason == "there is no such worker; there are writer, reader"
    assert board.tasks[1].status == "done" and run.outcome == "partial"


async def test_a_boss_that_is_lost_is_replaced_by_its_fallback_and_finished_tasks_are_kept() -> None:
    first = ordering(orders("writer", 2))

    async def boss(state: Project) -> Orders:
        if state["board"].tasks:
            raise ValueError
        return await first(state)  # type: ignore[no-any-return]

    async def plain(state: Project) -> Orders:
        return Orders(answer="what there is")

    board, run = await done(fallback(boss, plain))
    assert len(board.of("done")) == 2 and board.answer == "what there is" and run.outcome == "partial"


async def test_a_boss_that_is_lost_without_a_fallback_leaves_what_was_done() -> None:
    async def boss(state: Project) -> Orders:
        if state["board"].tasks:
            raise ValueError
        return Orders(orders=tuple(orders("writer", 2)))

    result = await guard(drawing(boss), LOOSE).ainvoke({})
    assert len(result["board"].of("done")) == 2 and result["run"].outcome == "stopped"


async def test_each_task_gets_a_fresh_worker_that_sees_its_task_alone() -> None:
    seen: list[Any] = []

    async def worker(task: Task) -> str:
        seen.append(task)
        return "ok"

    await done(ordering([Order(worker="worker", instruction="x", given={"city": "Rome"})]), worker)
    assert isinstance(seen[0], Task) and seen[0].given == {"city": "Rome"}


@pytest.mark.parametrize("number", [1, 2, 3, 10])
async def test_a_further_agent_makes_a_run_no_longer(number: int) -> None:
    workers = [_copy(f"worker_{each}") for each in range(number)]
    boss = ordering([Order(worker=worker.__name__, instruction="x") for worker in workers])
    graph = guard(drawing(boss, workers), LOOSE)
    steps = [chunk async for chunk in graph.astream({}, stream_mode="values")]
    assert len(steps) == 9 and len(steps[-1]["board"].of("done")) == number


KILLED = """
import asyncio, os, signal, sys
sys.path.insert(0, "tests")
import test_coordinate as t
from guards import guard
from langgraph.checkpoint.sqlite.aio import AsyncSqliteSaver
from pathlib import Path

folder = Path(sys.argv[1])

async def boss(state):
    with (folder / "log").open("a") as log: log.write("boss\\n")
    if len(state["board"].tasks) == 2 and not (folder / "killed").exists():
        (folder / "killed").touch()
        os.kill(os.getpid(), signal.SIGKILL)
    return t.Orders(orders=tuple(t.orders("worker", 2))) if len(state["board"].tasks) < 4 else t.Orders(answer="done")

async def worker(task):
    with (folder / "log").open("a") as log: log.write(f"task {task.number}\\n")
    return "ok"

async def main():
    async with AsyncSqliteSaver.from_conn_string(str(folder / "c.sqlite")) as saver:
        graph = guard(t.drawing(boss, [worker]), t.LOOSE).copy(update={"checkpointer": saver})
        thread = {"configurable": {"thread_id": "t"}}
        result = await graph.ainvoke(None if (folder / "killed").exists() else {}, thread, durability="sync")
        print(result["board"].answer, len(result["board"].of("done")), result["run"].outcome)

asyncio.run(main())
"""


def test_a_boss_killed_with_its_process_goes_on_from_the_board(tmp_path: Path) -> None:
    env = {**os.environ, "PYTHONPATH": str(Path.cwd())}
    command = [sys.executable, "-c", KILLED, str(tmp_path)]
    assert subprocess.run(command, env=env, timeout=60).returncode == -signal.SIGKILL
    again = subprocess.run(command, env=env, timeout=60, capture_output=True, text=True)
    assert again.stdout.split() == ["done", "4", "complete"], again.stderr
    log = (tmp_path / "log").read_text().split("\n")
    assert [log.count(f"task {number}") for number in (1, 2, 3, 4)] == [1, 1, 1, 1]


@pytest.mark.parametrize("said", [{"at_once": 0}, {"at_most": 0}, {"at_most": 1_000}])
def test_caps_that_are_none_are_refused(said: Any) -> None:
    with pytest.raises(ValueError, match="at_once"):
        drawing(ordering(), **said)


def test_reports_may_arrive_in_any_order_and_never_go_back() -> None:
    task = Task(number=1, worker="w", instruction="x", status="given")
    finished = Task(number=1, worker="w", instruction="x", status="done", result="ok")
    for one, other in ((task, finished), (finished, task)):
        assert post(post(None, Board(tasks=(one,))), Board(tasks=(other,))).tasks[0].status == "done"


def peers(number: int) -> Any:
    """Agents that hand over to each other as they like, each with a way out."""
    graph: Any = StateGraph(Project)
    names = [f"agent_{each}" for each in range(number)]

    def agent(name: str) -> Any:
        async def node(state: Project) -> Project:
            return {}

        node.__name__ = name
        return node

    for name in names:
        graph.add_node(name, agent(name))
        others = [other for other in names if other != name]
        graph.add_conditional_edges(name, lambda state: END, [*others, END])
    graph.add_edge(START, names[0])
    return graph


@pytest.mark.parametrize(("number", "refused"), [(2, False), (3, False), (4, True), (6, True)])
def test_four_agents_that_talk_to_each_other_need_a_coordinator(number: int, refused: bool) -> None:
    found = [hole for hole in check(peers(number)) if hole.rule == "no-coordinator"]
    assert bool(found) == refused
    if refused:
        assert "coordinate(" in found[0].cure and f"{number} agents" in found[0].problem


def test_a_flag_allows_it() -> None:
    with pytest.raises(Unsafe) as refusal:
        guard(peers(4), LOOSE.but(uncoordinated=True))
    assert "no-coordinator" not in str(refusal.value)


def test_a_boss_with_many_workers_is_no_crowd() -> None:
    found = check(drawing(ordering(), [_copy(f"worker_{number}") for number in range(8)]))
    assert "no-coordinator" not in {hole.rule for hole in found}


def _copy(name: str) -> Any:
    async def worker(task: Task) -> str:
        return "ok"

    worker.__name__ = name
    return worker


def test_describe_names_the_coordinator_and_counts_channels() -> None:
    text = describe(guard(drawing(ordering()), LOOSE))
    assert "coordinator  boss" in text and "n(n-1)/2" in text
