"""Label: where a value comes from, who can have written it and who may see it. Labels only ever widen.

The run's record holds one for each state key, next to the values, so they are saved and resumed with them.
Source of the rule: CaMeL's capabilities on values; the guide's isolation of agents (G4).
"""

from typing import Final, Literal, get_args

from pydantic import BaseModel, ConfigDict, Field

Integrity = Literal["outside", "typed", "user", "author"]
"""Anybody can have written it; only its choice among typed values is theirs; the user said it; the program says it."""

Confidentiality = Literal["public", "private"]

SOURCES_KEPT: Final = 50
_LEVELS: Final = get_args(Integrity)
_CONFIDENTIAL: Final = get_args(Confidentiality)


class Label(BaseModel):
    """What is known of a value's origin."""

    model_config = ConfigDict(frozen=True)

    sources: tuple[str, ...] = Field(default=(), description="Kinds of sources: user, web, tool NAME, memory.")
    integrity: Integrity = "author"
    confidentiality: Confidentiality = "public"

    def __or__(self, other: "Label") -> "Label":
        """The label of what two values meet in: all sources, the lower integrity, the higher confidentiality.

        It is this very label where the other one widens nothing.
        """
        if other is self or other is PROGRAM or other <= self:
            return self
        if self is PROGRAM:
            return other
        return Label(
            sources=self._with(other.sources),
            integrity=min(self.integrity, other.integrity, key=_LEVELS.index),
            confidentiality=max(self.confidentiality, other.confidentiality, key=_CONFIDENTIAL.index),
        )

    def __le__(self, other: "Label") -> bool:
        """Whether the other label says all that this one says."""
        return (
            _LEVELS.index(self.integrity) >= _LEVELS.index(other.integrity)
            and (self.confidentiality == other.confidentiality or self.confidentiality == "public")
            and all(source in other.sources for source in self.sources)
        )

    def _with(self, more: tuple[str, ...]) -> tuple[str, ...]:
        """The sources, each once; at the limit those that are known stay, and no further one is named."""
        room = max(0, SOURCES_KEPT - len(self.sources))
        return tuple(sorted((*self.sources, *sorted(set(more) - set(self.sources))[:room])))


PROGRAM: Final = Label()
USER: Final = Label(sources=("user",), integrity="user")


def outside(source: str, private: bool = False) -> Label:
    """The label of a text that anybody can have written."""
    return Label(sources=(source[:200],), integrity="outside", confidentiality="private" if private else "public")
