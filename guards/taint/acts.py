"""Acts: how the calls of a graph's agents are held to what the user wants."""

from dataclasses import dataclass
from typing import Final, Literal, get_args

Role = Literal["viewer", "operator", "admin"]
ROLES: Final[tuple[Role, ...]] = get_args(Role)


@dataclass(frozen=True)
class Acts:
    """How the calls of a graph's agents are held to what the user wants.

    Attributes:
        words: The state key that holds the user's own words.
        plan: The state key with the names of the tools that the user's task needs, made before anything from outside
            was read; None: every declared tool counts as planned.
        role: What the caller may do at most: "viewer" reads, "operator" acts as said above, "admin" is asked about
            nothing. `configurable.role` of a run's config, which a server's door sets, narrows it.
    """

    words: str = "question"
    plan: str | None = None
    role: Role = "operator"


def narrower(role: Role, caller: str) -> Role:
    """The one of two roles that may do less; a caller who says none changes nothing, an unknown one only reads."""
    if not caller:
        return role
    return min(role, next((one for one in ROLES if one == caller), ROLES[0]), key=ROLES.index)
