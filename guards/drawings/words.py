"""What `gather` and `loop` remember about a drawing, so that `guard`, `check` and `describe` can read it."""

import threading
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any
from weakref import WeakKeyDictionary

if TYPE_CHECKING:
    from guards.policy import Policy


@dataclass(frozen=True)
class Gathering:
    """One fan-out with its join.

    Attributes:
        branches: The nodes that run side by side.
        into: The join.
        min_ok: Branches that must succeed for the run to be complete; None: all of them.
        required: Branches that must be among those.
    """

    branches: tuple[str, ...]
    into: str
    min_ok: int | None = None
    required: tuple[str, ...] = ()


@dataclass
class Words:
    """Everything said about one builder in words of ours."""

    gatherings: list[Gathering] = field(default_factory=list)
    policies: "dict[str, Policy]" = field(default_factory=dict)
    coordinators: list[str] = field(default_factory=list)


_words: "WeakKeyDictionary[Any, Words]" = WeakKeyDictionary()
_lock = threading.Lock()


def words(builder: Any) -> Words:
    """The words said about this builder."""
    with _lock:
        return _words.setdefault(builder, Words())
