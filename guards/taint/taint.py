"""Taint: what an attempt knows of where its texts come from, and of what it may say and has done.

What a sub-agent reads counts for the agent around it, and what that one has read counts for the sub-agent.
"""

from collections import Counter
from typing import Any, Final

from guards.running.current import current_attempt
from guards.taint.acts import Acts
from guards.taint.words import LONGEST, folded
from state.label import PROGRAM, Label


class Taint:
    """What an attempt knows of where its texts come from. It only ever widens; safe with several threads.

    Attributes:
        label: Of all that it has read.
        words: The user's own words, folded.
        vouched: Values of the user's own records, folded.
        plan: Names of planned tools; None: all are.
        kept: Whether anybody wants to know.
        answered: A person has answered about one of its calls.
        acted: The tool with which it changed the world first.
    """

    def __init__(self, label: Label, words: str, vouched: str, plan: frozenset[str] | None, kept: bool = True) -> None:
        self.label, self.words, self.vouched, self.plan, self.kept = label, words, vouched, plan, kept
        self.answered, self.acted = False, ""
        self._made: Counter[str] = Counter()

    @property
    def known(self) -> str:
        """What the user and the user's records say."""
        return f"{self.words} {self.vouched}"

    def widen(self, label: Label) -> None:
        """Something more was read."""
        self.label = self.label | label

    def vouch(self, text: str) -> None:
        """The user's own records say this."""
        self.vouched = f"{self.vouched} {folded(text)}"[-LONGEST:]

    def counted(self, call: str) -> int:
        """How often this call is made now, this time included."""
        self._made[call] += 1
        return self._made[call]


CLEAR: Final = Taint(PROGRAM, "", "", None, kept=False)
OWN: Final = PROGRAM.model_copy(update={"confidentiality": "private"})
"""What the user's own private records say."""


def around() -> Taint:
    """Of the enclosing agent; clear when there is none."""
    above = current_attempt.get()
    return CLEAR if above is None or above.taint is None else above.taint


def beginning(acts: Acts | None, read: Any, label: Label, vouched: str, above: Taint) -> Taint:
    """The taint that an attempt begins with.

    Args:
        acts: The policy's.
        read: Reads a state key.
        label: Of what the node is shown.
        vouched: What the user's own records said so far.
        above: The enclosing agent's: a sub-agent gets its task from there, so those are the user's words.
    """
    plan = None if acts is None or acts.plan is None else frozenset(map(str, read(acts.plan) or ()))
    words = above.words or ("" if acts is None else folded(_text(read(acts.words))))
    known = f"{vouched} {above.vouched}".strip()
    return Taint(label | above.label, words, known, above.plan if above.kept else plan)


def _text(value: Any) -> str:
    """A person's words in a text, a message or a conversation, of which only the person's own messages count."""
    if isinstance(value, str):
        return value
    if isinstance(value, (list, tuple)):
        return " ".join(_text(one) for one in value if getattr(one, "type", "human") == "human")
    return _text(getattr(value, "content", "")) if hasattr(value, "content") else ""
