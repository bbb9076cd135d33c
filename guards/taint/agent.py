"""Agent: what a node may read, call and write, said where it is added to the drawing (guide: G3, G4).

`describe` prints it, `check` proves what follows from it, the guard enforces it: a node sees the keys that it may read
and no other, a tool that it may not call is refused, also through a sub-agent, and so is an update of any other key.
Not covered: what a node's own code fetches or remembers past the state; say `brings` for that.
"""

import copy
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any, Final, TypeVar

from langchain_core.runnables import Runnable

from guards.errors import Permanent
from guards.fallback import marked
from guards.taint.declared import Declared, declared
from guards.taint.typed import free_text, matches
from state.label import PROGRAM, Label, outside

Node = TypeVar("Node", bound=Callable[..., Any] | Runnable[Any, Any])
MARK: Final = "may"


@dataclass(frozen=True)
class Capabilities:
    """What an agent may do, and what it brings in.

    Attributes:
        reads: State keys that it is shown.
        writes: State keys that it may update.
        calls: Its tools, by name, with what each does; None: nobody declared that tool.
        brings: The kind of source that its own code reads from ("web", "documents"), empty for none.
        private: What it brings is private.
        extracts: Keys that it fills with typed values.
        approves: Keys that it fills with what a person agreed to.
        ours: It is no agent but a node that a word of ours made.
    """

    reads: frozenset[str]
    writes: frozenset[str]
    calls: Mapping[str, Declared | None] = field(default_factory=dict)
    brings: str = ""
    private: bool = False
    extracts: Mapping[str, Any] = field(default_factory=dict)
    approves: frozenset[str] = frozenset()
    ours: bool = False

    @property
    def acting(self) -> tuple[str, ...]:
        """Its tools that change the world; an undeclared one may."""
        return tuple(name for name, said in self.calls.items() if said is None or said.effect != "read")

    @property
    def brought(self) -> Label:
        """The label of what its own code brings in."""
        return outside(self.brings, self.private) if self.brings else PROGRAM

    def written(self, key: str, known: Label, name: str) -> Label:
        """The label of a value that it writes.

        Args:
            key: Where to.
            known: The label of all that it has read.
            name: Its own; who may only read must not cause a write through another.
        """
        if key in self.approves:
            return known.model_copy(update={"integrity": "user"})
        if key in self.extracts and known.integrity == "outside":
            return known.model_copy(update={"integrity": "typed"})
        return known if self.acting or not self.calls else known | outside(f"agent {name}, which only reads")


def agent(
    node: Node,
    *,
    reads: Iterable[str],
    writes: Iterable[str],
    calls: Iterable[Any] = (),
    brings: str = "",
    private: bool = False,
    extracts: Mapping[str, Any] | None = None,
) -> Node:
    """Declare what a node may read, call and write: `add_node("reader", agent(reader, reads=[...], writes=[...]))`.

    Once one node of a drawing is declared, all of its agents must be.

    Args:
        node: The node: an async function, a sub-agent or another runnable.
        reads: State keys that it is shown.
        writes: State keys that it may update.
        calls: Tools that it may call, each `declare`d; through sub-agents too.
        brings: The kind of source that its own code reads from: "web", "documents", "database".
        private: What it brings is private.
        extracts: By written key the type of what it may hold, out of texts that nobody vouches for: numbers, dates,
            truth values, enumerations, literals and records of those. What fits has been cleared of orders; what does
            not fit is the node's failure.

    Raises:
        ValueError: An extracted type can hold free text, which can hold orders, or its key is not written.
    """
    typed, written = dict(extracts or {}), frozenset(writes)
    for key, kind in typed.items():
        if key not in written:
            raise ValueError(f"agent(extracts={{{key!r}: ...}}): it does not write '{key}'")
        if text := free_text(kind):
            raise ValueError(f"agent(extracts={{{key!r}: ...}}): {text}; a Literal or an Enum says what it may be")
    tools = {tool.name: declared(getattr(tool, "metadata", None)) for tool in calls}
    return put(node, Capabilities(frozenset(reads), written, tools, brings, private, typed))


def put(node: Node, may: Capabilities) -> Node:
    """A node of its own that carries the declaration."""
    own: Any = copy.copy(node) if isinstance(node, Runnable) else marked(node)
    object.__setattr__(own, MARK, may)
    return own  # type: ignore[no-any-return]


def handing_on(node: Node, inner: Any, key: str) -> Node:
    """A word's own node around somebody's agent: it reads and writes the word's key too."""
    may = capabilities(inner)
    return node if may is None else put(node, replace(may, reads=may.reads | {key}, writes=may.writes | {key}))


def ours(node: Node, *keys: str) -> Node:
    """A word's own node that is no agent: it reads and writes the word's keys."""
    return put(node, Capabilities(frozenset(keys), frozenset(keys), ours=True))


def capabilities(function: Any) -> Capabilities | None:
    """What was declared for a node, or None."""
    found = getattr(function, MARK, None)
    return found if isinstance(found, Capabilities) else None


class View(dict[str, Any]):
    """The state as an agent may see it: asking for another key is an error that says so, not a default.

    Args:
        shown: Keys and values.
        hidden: The keys that it may not read.
        name: The agent's.
    """

    def __init__(self, shown: Mapping[str, Any], hidden: frozenset[str], name: str) -> None:
        super().__init__(shown)
        self.hidden, self.name = hidden, name

    def __missing__(self, key: str) -> Any:
        """A key that is not shown."""
        self._check(key)
        raise KeyError(key)

    def get(self, key: str, default: Any = None) -> Any:
        """As a dict's, but a hidden key has no default."""
        self._check(key)
        return super().get(key, default)

    def _check(self, key: str) -> None:
        if key in self.hidden:
            raise Permanent(f"agent '{self.name}' may not read '{key}': agent(..., reads=[..., '{key}'])")


def shown(state: Any, may: Capabilities, name: str) -> Any:
    """What an agent is given of a state or of a payload: a dict, or a record without the other fields."""
    if isinstance(state, Mapping):
        hidden = frozenset(state) - may.reads
        return View({key: state[key] for key in state if key in may.reads}, hidden, name)
    fields = getattr(state, "__dict__", None)
    if fields is None:
        return state
    own = copy.copy(state)
    for key in [key for key in fields if key not in may.reads]:
        own.__dict__.pop(key)
    return own


def check_written(update: Iterable[tuple[str, Any]], may: Capabilities, name: str) -> None:
    """Look at what an agent wrote, the guard's own key aside.

    Raises:
        Permanent: It may not write a key, or a typed value is not of its type.
    """
    for key, value in update:
        if key not in may.writes:
            raise Permanent(f"agent '{name}' may not write '{key}': agent(..., writes=[..., '{key}'])")
        if key in may.extracts and not matches(value, may.extracts[key]):
            raise Permanent(f"agent '{name}' wrote a '{key}' that is not of the type it declares to extract")
