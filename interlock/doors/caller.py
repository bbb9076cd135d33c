"""Caller: who calls, for which tenant, in which role; and the error of one who may not."""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final, Literal, get_args

Role = Literal["viewer", "operator", "admin"]
"""Looks; runs graphs; may also write states, assistants and read what the server tells of itself."""

ROLES: Final[tuple[Role, ...]] = get_args(Role)
LABEL: Final = re.compile(r"[A-Za-z0-9][A-Za-z0-9_-]{0,63}")
"""Names of tenants: a store's namespace and a folder's name can be made of them."""


class Denied(Exception):
    """A request that is not answered.

    Args:
        status: Its HTTP status: 401 who is it, 403 may not, 404 there is no such thing, 503 cannot be told now.
        why: What is wrong and what to do; never a part of a credential.
    """

    def __init__(self, status: int, why: str) -> None:
        super().__init__(why)
        self.status, self.why = status, why


@dataclass(frozen=True)
class Caller:
    """Who calls.

    Attributes:
        identity: Of the key or the token's subject: what was made is marked with it.
        tenant: Whose things it sees; "" is the developer on this machine, who sees everything.
        role: What it may do.
    """

    identity: str
    tenant: str
    role: Role

    @property
    def local(self) -> bool:
        """The developer on this machine, of a server that nobody closed."""
        return not self.tenant

    def at_least(self, role: Role) -> bool:
        """Whether its role includes another."""
        return ROLES.index(self.role) >= ROLES.index(role)

    def as_user(self) -> dict[str, Any]:
        """What LangGraph's server hands on as the user; it goes into the run's config."""
        return {"identity": self.identity, "tenant": self.tenant, "role": self.role, "permissions": [self.role]}

    @classmethod
    def of_user(cls, user: Any) -> "Caller":
        """The caller of a user that the server hands back.

        Raises:
            Denied: It is none of ours.
        """
        try:
            return cls(str(user["identity"]), str(user["tenant"]), _role(user["role"]))
        except (KeyError, TypeError):
            raise Denied(403, "this user did not come through the door") from None


LOCAL: Final = Caller("local", "", "admin")


def checked(identity: str, claims: Mapping[str, Any], tenant: str, role: str) -> Caller:
    """A caller whose tenant and role come from outside.

    Raises:
        Denied: They are none.
    """
    named, said = claims.get(tenant), claims.get(role, "viewer")
    if not isinstance(named, str) or not LABEL.fullmatch(named):
        raise Denied(401, "the token names no tenant that can be used: letters, digits, - and _, at most 64")
    return Caller(identity, named, _role(said))


def _role(said: Any) -> Role:
    for role in ROLES:
        if said == role:
            return role
    raise Denied(401, f"there is no such role: use one of {', '.join(ROLES)}")
