"""The board of a coordination: what a boss ordered, who works on it, and what came of it."""

from collections.abc import Mapping
from typing import Annotated, Final, Literal

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field

from state.memory import TEXT_KEPT, shorten
from state.message import Message

TASKS_KEPT: Final = 200
"""Tasks on one board; `coordinate` takes no more."""

GIVEN_KEPT: Final = 20
"""Named values that a task carries."""

TaskStatus = Literal["open", "given", "done", "failed", "refused", "replaced"]
_ORDER: Final[tuple[TaskStatus, ...]] = ("open", "given", "failed", "done", "refused", "replaced")


def _short(text: object) -> object:
    return shorten(text, TEXT_KEPT) if isinstance(text, str) else text


def _few(given: object) -> object:
    return dict(list(given.items())[:GIVEN_KEPT]) if isinstance(given, Mapping) else given


Text = Annotated[str, BeforeValidator(_short)]


class Order(BaseModel):
    """What a boss wants done."""

    model_config = ConfigDict(frozen=True)

    worker: str = Field(max_length=200, description="Name of the worker.")
    instruction: Text
    given: Annotated[dict[str, Text], BeforeValidator(_few)] = Field(default_factory=dict)
    instead_of: int | None = Field(default=None, description="Number of a failed task that this one replaces.")


class Orders(BaseModel):
    """What a boss returns: the next orders, or none and the answer."""

    model_config = ConfigDict(frozen=True)

    orders: tuple[Order, ...] = Field(default=(), max_length=10 * TASKS_KEPT)
    answer: Text = ""


class Task(Message):
    """An order on the board."""

    number: int
    worker: str
    instruction: str
    given: dict[str, str] = Field(default_factory=dict)
    status: TaskStatus = "open"
    result: Text = ""
    reason: str = ""


class Board(BaseModel):
    """All tasks of one coordination; also, with some of them, an addition to it."""

    model_config = ConfigDict(frozen=True)

    started: float = Field(default=0.0, description="Seconds since the epoch; another start is another board.")
    tasks: tuple[Task, ...] = ()
    over: bool = False
    answer: str = ""

    def of(self, status: TaskStatus) -> list[Task]:
        """The tasks of one status, in order."""
        return [task for task in self.tasks if task.status == status]


def post(board: "Board | None", new: "Board | None") -> Board:
    """Reducer: put tasks and their results on the board: `board: Annotated[Board, post]`.

    A task never goes back: what is done stays done, whoever reports again, and in whatever order reports arrive.
    """
    old, new = board or Board(), new or Board()
    if new.started and new.started != old.started:
        return new
    tasks = {task.number: task for task in old.tasks}
    for task in new.tasks:
        known = tasks.get(task.number)
        if known is None or _ORDER.index(task.status) > _ORDER.index(known.status):
            tasks[task.number] = task
    kept = tuple(tasks[number] for number in sorted(tasks)[:TASKS_KEPT])
    return Board(started=old.started, tasks=kept, over=old.over or new.over, answer=old.answer or new.answer)
