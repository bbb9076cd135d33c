"""Coordinate: a boss hands typed tasks to workers (guide: C3, "4+ agents: use a coordinator").

What counts: workers that run at once, and tasks in all; both have a cap, what is above the second is refused on the
board. Everything the boss knows is on the board in the state, so a boss that fails is asked again, and a run that was
killed goes on from the board: finished tasks stay finished. A worker is called anew for each task and keeps nothing
(A2); one that fails costs its task, and the boss sees it and may order another. Not covered: what a boss orders.
"""

import time
from collections.abc import Awaitable, Callable, Sequence
from typing import Any, Final

from langgraph.graph import StateGraph
from langgraph.types import Send

from guards.drawings.words import Gathering, words
from guards.errors import Permanent
from guards.fallback import closing
from guards.gather import Fanout
from guards.loop import loop
from guards.taint.agent import handing_on, ours
from state.board import TASKS_KEPT, Board, Order, Orders, Task
from state.guarded import Missing, Run

AT_ONCE: Final = 10
"""Guide: MAX_CONCURRENT_AGENTS=10."""

AT_MOST: Final = 20

Boss = Callable[[Any], Awaitable[Orders]]
Worker = Callable[[Task], Awaitable[str]]


class Handout(Fanout):
    """Router from the boss to the workers: each task that is given goes to its own.

    Attributes:
        begin: The node with which a coordination begins.
        tasks: How many tasks all workers together get from there on.
    """

    def __init__(self, workers: Sequence[str], into: str, at_once: int, begin: str, tasks: int) -> None:
        super().__init__(workers[0], into, _given, at_once)
        self.workers = tuple(workers)
        self.begin, self.tasks = begin, tasks

    def __call__(self, state: Any) -> list[Send] | str:
        """Where to go next."""
        return [Send(task.worker, {"board": Board(tasks=(task,))}) for task in _given(state)] or self.into


def coordinate(
    graph: StateGraph[Any, Any, Any, Any],
    start: str,
    boss: Boss,
    workers: Sequence[Worker],
    *,
    then: str,
    name: str = "board",
    at_once: int = AT_ONCE,
    at_most: int = AT_MOST,
) -> None:
    """Let a boss hand out tasks after `start` until it has none left, then go on.

    The state needs the key `board: Annotated[Board, post]` (`state.board`); tasks, results and the boss's answer are
    in it.

    Args:
        graph: The drawing.
        start: The node after which it begins.
        boss: Async function from the state to `Orders`; called again when all its tasks are done or failed. With a
            `fallback`, that is the boss when the first one is lost.
        workers: Async functions from a `Task` to its result, a text.
        then: Where the run goes on.
        name: What its own nodes are called after.
        at_once: Workers that run side by side; further tasks wait.
        at_most: Tasks in all; what is ordered above is refused.

    Raises:
        ValueError: A cap is no cap, or there is no worker, or two have one name.
    """
    names = [worker.__name__ for worker in workers]
    if not names or len(set(names)) < len(names):
        raise ValueError(f"coordinate '{name}' needs workers with different names, not {names}")
    if not (at_once >= 1 and 1 <= at_most <= TASKS_KEPT):
        raise ValueError(f"coordinate '{name}': at_once >= 1 and 1 <= at_most <= {TASKS_KEPT} must hold")
    rules, leader, meet = _Rules(names, at_once, at_most), boss.__name__, f"{name}_meet"
    graph.add_node(name, ours(closing(_named(name, rules.open)), "board"))
    graph.add_node(leader, _leading(rules, boss))
    graph.add_node(meet, ours(closing(_named(meet, rules.meet)), "board"))
    graph.add_edge(start, name)
    graph.add_edge(name, leader)
    for worker in workers:
        graph.add_node(worker.__name__, handing_on(_named(worker.__name__, _working(worker)), worker, "board"))
        graph.add_edge(worker.__name__, meet)
    graph.add_conditional_edges(leader, Handout(names, meet, at_once, name, at_most), [*names, meet])
    said = words(graph)
    said.gatherings.append(Gathering(tuple(names), meet, min_ok=0))
    said.coordinators.append(leader)
    loop(graph, meet, back_to=leader, until=_is_over, then=then, at_most=at_most + 1, progress=None)


def _board(state: Any) -> Board:
    held = state.get("board") if isinstance(state, dict) else getattr(state, "board", None)
    return held or Board()


def _given(state: Any) -> list[Task]:
    return _board(state).of("given")


def _is_over(state: Any) -> bool:
    return _board(state).over


def _named(name: str, node: Any) -> Any:
    async def named(state: Any) -> Any:
        return await node(state)

    named.__name__ = named.__qualname__ = name
    return named


def _leading(rules: "_Rules", boss: Boss) -> Any:
    """The boss as a node, its fallback with it."""
    node = handing_on(_named(boss.__name__, rules.leading(boss)), boss, "board")
    plain = getattr(boss, "fallback", None)
    if plain is not None:
        node.fallback = _named(plain.__name__, rules.leading(plain))
    return node


def _working(worker: Worker) -> Any:
    """The worker as a node; it sees its task and nothing else."""

    async def work(state: Any) -> dict[str, Board]:
        (task,) = _given(state)
        result = await worker(task)
        if not isinstance(result, str):
            raise Permanent(
                f"'{worker.__name__}' returned a {type(result).__name__}: return the task's result as a text"
            )
        return {"board": Board(tasks=(_changed(task, status="done", result=result),))}

    return work


class _Rules:
    """What one coordination's nodes do."""

    def __init__(self, workers: Sequence[str], at_once: int, at_most: int) -> None:
        self.workers = workers
        self.at_once = at_once
        self.at_most = at_most

    async def open(self, state: Any) -> dict[str, Board]:
        """Begin with an empty board."""
        return {"board": Board(started=time.time())}

    def leading(self, boss: Boss) -> Any:
        """Ask the boss when nothing is left to hand out, then give out what may run at once."""

        async def lead(state: Any) -> dict[str, Board]:
            board = _board(state)
            waiting = board.of("open")
            if waiting:
                return {"board": Board(tasks=self._next(waiting))}
            said = await boss(state)
            if not isinstance(said, Orders):
                raise Permanent(f"'{boss.__name__}' returned a {type(said).__name__}: return Orders")
            tasks = self._taken(board, said.orders)
            opened = [task for task in tasks if task.status == "open"]
            replaced = self._replaced(board, said.orders)
            rest = [task for task in tasks if task not in opened[: self.at_once]]
            posted = (*replaced, *self._next(opened), *rest)
            return {"board": Board(tasks=posted, over=not opened, answer="" if opened else said.answer)}

        return lead

    async def meet(self, state: Any) -> dict[str, Any]:
        """Note which tasks nobody finished; at the end tell what is missing."""
        board = _board(state)
        lost = tuple(_changed(task, status="failed", reason="its worker gave no result") for task in board.of("given"))
        if not board.over:
            return {"board": Board(tasks=lost)}
        missing = (_missing(task) for task in (*board.of("failed"), *board.of("refused")))
        return {"run": Run(missing=tuple(missing))}

    def _next(self, tasks: Sequence[Task]) -> tuple[Task, ...]:
        return tuple(_changed(task, status="given") for task in tasks[: self.at_once])

    def _taken(self, board: Board, orders: Sequence[Order]) -> list[Task]:
        """The orders as tasks; those above the cap are counted in one that is refused."""
        room = self.at_most - sum(task.status != "refused" for task in board.tasks)
        tasks = [self._task(len(board.tasks) + number, order) for number, order in enumerate(orders[:room], 1)]
        if len(orders) > room:
            reason = f"{len(orders) - room} order(s) above the cap of {self.at_most} tasks"
            number = len(board.tasks) + len(tasks) + 1
            tasks.append(Task(number=number, worker="", instruction="", status="refused", reason=reason))
        return tasks

    def _task(self, number: int, order: Order) -> Task:
        task = Task(number=number, worker=order.worker, instruction=order.instruction, given=order.given)
        if order.worker in self.workers:
            return task
        return _changed(task, status="failed", reason=f"there is no such worker; there are {', '.join(self.workers)}")

    def _replaced(self, board: Board, orders: Sequence[Order]) -> list[Task]:
        numbers = {order.instead_of for order in orders}
        return [_changed(task, status="replaced") for task in board.of("failed") if task.number in numbers]


def _changed(task: Task, **changes: Any) -> Task:
    return Task(**{**task.model_dump(), **changes})


def _missing(task: Task) -> Missing:
    what = f"task {task.number} ({task.worker})" if task.worker else "tasks"
    return Missing(what=what, status="refused" if task.status == "refused" else "failed", reason=task.reason)
