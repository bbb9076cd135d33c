"""Acts: how the calls of a graph's agents are held to what the user wants."""

from dataclasses import dataclass
from typing import Literal


@dataclass(frozen=True)
class Acts:
    """How the calls of a graph's agents are held to what the user wants.

    Attributes:
        words: The state key that holds the user's own words.
        plan: The state key with the names of the tools that the user's task needs, made before anything from outside
            was read; None: every declared tool counts as planned.
        role: What the caller may do: "viewer" reads, "operator" acts as said above, "admin" is asked about nothing.
    """

    words: str = "question"
    plan: str | None = None
    role: Literal["viewer", "operator", "admin"] = "operator"
