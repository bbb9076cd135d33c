"""What an agent remembers of its run: the last interactions, and its instructions for good (guide: D1, A6)."""

from collections.abc import Callable, Iterable
from functools import cache
from typing import Annotated, Final, Literal

from pydantic import BeforeValidator, Field

from state.message import Message

RECENT_KEPT: Final = 20
"""Interactions that a memory keeps (guide: "recent context: hard limit 20 interactions")."""

PINNED_KEPT: Final = 100
"""Different instructions that a memory keeps, the oldest first."""

TEXT_KEPT: Final = 8_000
"""Characters of one interaction."""


def shorten(text: str, longest: int) -> str:
    """The text in at most `longest` characters: of a longer one beginning and end, and how much is left out.

    Args:
        text: Any text.
        longest: Characters; where no note fits in, the beginning alone.
    """
    if len(text) <= longest:
        return text
    note = f"\n[... {len(text) - longest:,} characters left out ...]\n"
    room = longest - len(note)
    return text[: room - room // 3] + note + text[len(text) - room // 3 :] if room >= 3 else text[:longest]


def _short(text: object) -> object:
    return shorten(text, TEXT_KEPT) if isinstance(text, str) else text


class Interaction(Message):
    """One thing that an agent was told, said or did."""

    agent: str = Field(max_length=200)
    role: Literal["instructions", "input", "output", "tool"] = Field(description="Instructions are never forgotten.")
    text: Annotated[str, BeforeValidator(_short)] = Field(description="The middle of a longer text is left out.")
    calls: tuple[str, ...] = Field(
        default=(), max_length=100, description="Ids of the tool calls that an output makes, or that a tool answers."
    )

    @property
    def pinned(self) -> bool:
        """Whether it outlives every trimming."""
        return self.role == "instructions"


Memory = list[Interaction]


def paired(kept: Iterable[Interaction]) -> Memory:
    """The interactions without the tools' answers to calls that are not among them: no model takes those."""
    made, whole = set[str](), Memory()
    for one in kept:
        if one.role != "tool" or made.issuperset(one.calls):
            whole.append(one)
            made.update(one.calls)
    return whole


@cache
def keep_recent(keep: int = RECENT_KEPT) -> Callable[[Memory, Memory], Memory]:
    """A reducer that keeps the most recent interactions, whatever nodes return: `Annotated[Memory, keep_recent(20)]`.

    Parallel updates are added one after the other and lose nothing that is among the last `keep`. Instructions do
    not count: they stay in front, each once. A tool's answer goes with the call that it answers.

    Args:
        keep: Interactions kept besides the instructions; the same number gives the same reducer.

    Raises:
        ValueError: `keep` is less than 1.
    """
    if keep < 1:
        raise ValueError(f"keep_recent({keep}): keep at least 1 interaction")

    def recent(memory: Memory, new: Memory) -> Memory:
        """The memory with the new interactions, within its limit."""
        both = [*memory, *new]
        pinned = {(one.agent, one.text): one for one in reversed(both) if one.pinned}
        others = [one for one in both if not one.pinned]
        return [*list(reversed(pinned.values()))[:PINNED_KEPT], *paired(others[-keep:])]

    return recent
