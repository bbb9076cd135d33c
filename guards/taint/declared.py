"""Declared: what a tool does to the world, and through which of its arguments it reaches out."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any, Final, Literal, TypeVar

Effect = Literal["read", "write", "egress", "spend"]
"""Reads something; changes something; sends something out (a request for a URL is one too); costs money."""

T = TypeVar("T")
KEY: Final = "interlock_tool"


@dataclass(frozen=True)
class Declared:
    """What a tool is declared to do.

    Attributes:
        effect: See `Effect`.
        sinks: Arguments that say to whom, where or what: recipient, URL, account, id, path, amount.
        trusted: A read of the user's own records, which nobody else writes (a directory, an account's balance): what it
            returns taints nothing and vouches for the values in it.
        private: What it returns is not for everybody's eyes.
        idempotent: Making the call twice does no more than making it once, as for an HTTP GET.
    """

    effect: Effect
    sinks: tuple[str, ...] = ()
    trusted: bool = False
    private: bool = False
    idempotent: bool = False


def declare(
    tool: T,
    effect: Effect,
    *,
    sinks: Iterable[str] = (),
    trusted: bool = False,
    private: bool = False,
    idempotent: bool = False,
) -> T:
    """Say what a tool of LangChain does; gives the tool back.

    Args:
        tool: The tool.
        effect: "read", "write", "egress" or "spend".
        sinks: Its arguments that say to whom, where or what.
        trusted: Its answers come from the user's own records alone. Only a read can be.
        private: Its answers are not for everybody's eyes.
        idempotent: Making the call twice does no more than making it once, so it may be made again after a cut.

    Raises:
        ValueError: A sink is no argument of the tool, or something other than a read is called trusted.
    """
    said = Declared(effect, tuple(sinks), trusted, private, idempotent)
    unknown = [name for name in said.sinks if name not in getattr(tool, "args", {})]
    if unknown:
        raise ValueError(f"tool '{getattr(tool, 'name', tool)}' has no argument '{unknown[0]}': name its own ones")
    if trusted and effect != "read":
        raise ValueError(f"declare(effect={effect!r}, trusted=True): only a read can vouch for anything")
    tool.metadata = {**(getattr(tool, "metadata", None) or {}), KEY: said}  # type: ignore[attr-defined]
    return tool


def declared(metadata: Mapping[str, Any] | None) -> Declared | None:
    """What the metadata of a call says of its tool."""
    found = (metadata or {}).get(KEY)
    return found if isinstance(found, Declared) else None
