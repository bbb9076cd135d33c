"""What the types say about a checkpoint is what the strict serializer really does with their values."""

import collections
import dataclasses
import datetime
import decimal
import enum
import pathlib
import re
import threading
import typing
import uuid
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Mapping, Sequence
from typing import Annotated, Any, Generic, Literal, NamedTuple, NewType, NotRequired, TypeVar

import pytest
from langchain_core.documents import Document
from langchain_core.messages import AIMessage, AnyMessage, BaseMessage, HumanMessage
from langgraph.graph.message import add_messages
from langgraph.managed import RemainingSteps
from pydantic import BaseModel, ConfigDict, Field, PrivateAttr, SecretStr
from typing_extensions import TypedDict

from guards.drawings.serializable import flaws, survives

Item = TypeVar("Item")
Name = NewType("Name", str)


class Color(enum.Enum):
    RED = 1


class Level(enum.StrEnum):
    HIGH = "high"


class Point(NamedTuple):
    x: int


class Base(BaseModel):
    a: int = 1


class Sub(Base):
    b: int = 2


class Leaf(BaseModel):
    model_config = ConfigDict(frozen=True)
    pair: tuple[int, str] = (1, "a")
    many: tuple[str, ...] = ("a", "b")
    color: Color = Color.RED
    when: datetime.datetime = datetime.datetime(2024, 1, 1, tzinfo=datetime.UTC)
    ids: set[int] = {1}
    counts: collections.Counter[str] = collections.Counter("aab")
    table: dict[Color, list[decimal.Decimal]] = {Color.RED: [decimal.Decimal("1.10")]}
    either: "Leaf | Literal['none']" = "none"
    point: Point = Point(1)
    names: Sequence[Level] = [Level.HIGH]


class Box(BaseModel, Generic[Item]):
    item: Item


class Holder(BaseModel):
    inner: Base


class Excluded(BaseModel):
    a: int = Field(default=1, exclude=True)


class Aliased(BaseModel):
    a: int = Field(default=1, alias="A")


class Named(BaseModel):
    model_config = ConfigDict(populate_by_name=True)
    a: int = Field(default=1, alias="A")


class Private(BaseModel):
    a: int = 1
    _seen: int = PrivateAttr(default=0)


class Strict(BaseModel):
    model_config = ConfigDict(strict=True)
    pair: tuple[int, int] = (1, 2)


class Talk(BaseModel):
    messages: list[BaseMessage]


class Live(BaseModel):
    model_config = ConfigDict(arbitrary_types_allowed=True)
    client: Any = None
    lock: "Plain | None" = None


class Plain:
    pass


@dataclasses.dataclass
class Data:
    names: list[str]
    at: datetime.date = datetime.date(2024, 1, 1)


@dataclasses.dataclass
class Paired:
    pair: tuple[int, int] = (1, 2)


@dataclasses.dataclass
class Late:
    a: int = 1
    b: int = dataclasses.field(init=False, default=2)


class Outer:
    class Nested(BaseModel):
        a: int = 1


class Fine(TypedDict, total=False):
    text: NotRequired[str]
    count: int


private = Private()
private._seen = 7

FINE = [
    (str, "x"),
    (int | None, None),
    (float, float("inf")),
    (bytes, b"\xff"),
    (list[dict[str, Any]], [{"a": [1, None, True]}]),
    (dict[int, str], {1: "a"}),
    (set[str], {"a"}),
    (frozenset[int], frozenset({1})),
    (collections.deque[int], collections.deque([1])),
    (datetime.timedelta, datetime.timedelta(seconds=1)),
    (datetime.datetime, datetime.datetime(2024, 1, 1, tzinfo=datetime.UTC)),
    (decimal.Decimal, decimal.Decimal("1.10")),
    (uuid.UUID, uuid.UUID(int=1)),
    (pathlib.Path, pathlib.Path("a/b")),
    (re.Pattern[str], re.compile("a", re.IGNORECASE)),
    (Color, Color.RED),
    (list[Level], [Level.HIGH]),
    (Literal["a", "b"], "a"),
    (Name, Name("x")),
    (Annotated[list[str], "anything"], ["a"]),
    (Leaf, Leaf(either=Leaf())),
    (list[Leaf], [Leaf()]),
    (Box[int], Box[int](item=1)),
    (Named, Named(a=5)),
    (Data, Data(["a"])),
    (Fine, {"text": "a", "count": 1}),
    (list[AnyMessage], [HumanMessage("a", id="1"), AIMessage("b", id="2")]),
    (list[BaseMessage], [HumanMessage("a", id="1")]),
    (Document, Document("text", metadata={"a": 1})),
    (Mapping[str, int], {"a": 1}),
]

CHANGED = [
    (tuple[int, int], (1, 2), "list"),
    (tuple, (1,), "list"),
    (list[tuple[str, ...]], [("a",)], "list"),
    (set[tuple[int, int]], {(1, 2)}, "list"),
    (Point, Point(1), "dict"),
    (collections.OrderedDict[str, int], collections.OrderedDict(a=1), "dict"),
    (collections.defaultdict[str, int], collections.defaultdict(int, a=1), "dict"),
    (collections.Counter[str], collections.Counter("a"), "dict"),
    (ValueError, ValueError("x"), "str"),
    (list[Exception], [ValueError("x")], "str"),
    (Sequence[Leaf], [Leaf()], "list[...]"),
    (Mapping[str, Color], {"a": Color.RED}, "dict[...]"),
    (dict[Color, int], {Color.RED: 1}, "str keys"),
    (dict[uuid.UUID, int], {uuid.UUID(int=1): 1}, "str keys"),
    (dict[pathlib.Path, int], {pathlib.Path("a"): 1}, "str keys"),
    (Base, Sub(), "Base | Sub"),
    (Holder, Holder(inner=Sub()), "Base | Sub"),
    (Talk, Talk(messages=[HumanMessage("a")]), "subclass"),
    (Excluded, Excluded(a=5), "exclude"),
    (Aliased, Aliased(A=5), "populate_by_name"),
    (Private, private, "private"),
    (Strict, Strict(), "strict"),
    (Paired, Paired(), "list"),
    (Late, Late(), "init=False"),
    (Outer.Nested, Outer.Nested(), "top level"),
    (complex, 1j, "cannot be stored"),
    (range, range(3), "cannot be stored"),
    (Plain, Plain(), "cannot be stored"),
    (Live, Live(lock=Plain()), "cannot be stored"),
    (type[int], int, "cannot be stored"),
    (Callable[[], int], len, "cannot be stored"),
]


@pytest.mark.parametrize(("kind", "value"), FINE, ids=lambda one: str(one)[:40])
def test_what_is_said_to_survive_survives(kind: Any, value: Any) -> None:
    assert flaws(TypedDict("State", {"key": kind})) == []
    assert survives(value, kind) is None


@pytest.mark.parametrize(("kind", "value", "told"), CHANGED, ids=lambda one: str(one)[:40])
def test_what_is_said_to_change_changes(kind: Any, value: Any, told: str) -> None:
    found = flaws(TypedDict("State", {"key": kind}))
    assert found and all(flaw.path.startswith("State.key") for flaw in found)
    assert told in f"{found[0].problem} {found[0].cure}"
    assert survives(value, kind) is not None


@pytest.mark.parametrize(
    "kind",
    [threading.Lock, threading.Thread, Iterator[int], AsyncIterator[str], Awaitable[int], typing.IO[str], object()],
)
def test_live_things_cannot_be_stored(kind: Any) -> None:
    (flaw,) = flaws(TypedDict("State", {"key": kind}))
    assert "cannot be stored" in flaw.problem and "inside the node" in flaw.cure


def test_a_secret_would_lie_in_clear_in_every_checkpoint() -> None:
    (flaw,) = flaws(TypedDict("State", {"key": list[SecretStr]}))
    assert flaw.path == "State.key[]: pydantic.types.SecretStr" and "in clear" in flaw.problem


class Plan(BaseModel):
    model_config = ConfigDict(arbitrary_types_allowed=True)
    when: threading.Thread
    steps: list["Plan"] = []


class Research(TypedDict, total=False):
    plan: Plan
    table: dict[str, list[Paired]]


def test_the_path_leads_to_the_field() -> None:
    assert [flaw.path for flaw in flaws(Research)] == [
        "Research.plan.when: threading.Thread",
        "Research.table[][].pair: tuple",
    ]


def test_a_type_that_contains_itself_ends() -> None:
    assert len(flaws(TypedDict("State", {"a": Plan, "b": list[Plan]}))) == 1


class Kept(TypedDict):
    client: Plain
    left: RemainingSteps
    messages: Annotated[list[AnyMessage], add_messages]


class State(BaseModel):
    model_config = ConfigDict(arbitrary_types_allowed=True)
    pair: tuple[int, int] = (1, 2)
    lock: Plain | None = None


def test_a_pydantic_state_mends_its_keys_when_they_are_read_but_stores_no_live_thing() -> None:
    assert [flaw.path for flaw in flaws(State)] == ["State.lock: test_serializable.Plain"]


def test_what_no_checkpoint_carries_may_be_anything() -> None:
    assert flaws(Kept, skip={"client"}) == []


def test_what_says_nothing_is_left_to_the_run() -> None:
    assert flaws(TypedDict("State", {"a": Any, "b": object, "c": list, "d": dict[str, Any], "e": Box[Any]})) == []


def test_survives_names_the_place_that_changed() -> None:
    assert survives([{"b": Paired()}], list[dict[str, Paired]]) == "list[0]['b'].pair: tuple came back as list"
    assert survives(Holder(inner=Sub())) == "Holder.inner: Sub came back as Base"
    assert "refused" in (survives(1 << 70) or "") and "refused" in (survives([lambda: 1]) or "")
