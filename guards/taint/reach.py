"""Reach: which agents a text from outside, or private data, can come to, read from what they declare."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass

from guards.taint.agent import Capabilities

Origin = Callable[[str, Capabilities], str]


@dataclass(frozen=True)
class Reach:
    """By agent: on which way it is reached.

    Attributes:
        outside: By a text that anybody can have written.
        private: By private data.
    """

    outside: Mapping[str, str]
    private: Mapping[str, str]


def reach(agents: Mapping[str, Capabilities]) -> Reach:
    """Follow what each agent brings in over the keys that it writes to the agents that read them."""
    return Reach(_spread(agents, _outside, cleared=True), _spread(agents, _private, cleared=False))


def _spread(agents: Mapping[str, Capabilities], origin: Origin, cleared: bool) -> dict[str, str]:
    reached: dict[str, str] = {}
    keys: dict[str, str] = {}
    for _ in agents:  # each round finds one more, or none is left
        for name, may in agents.items():
            over = next((f"{keys[key]} -> {key}" for key in sorted(may.reads) if key in keys), "")
            way = reached.get(name) or origin(name, may) or over
            if way:
                reached[name] = way
            carried = f"{way} -> {name}" if way else _only_reads(name, may) if cleared else ""
            cleared_keys = may.approves | set(may.extracts) if cleared else frozenset()
            for key in may.writes - cleared_keys if carried else ():
                keys.setdefault(key, carried)
    return reached


def _outside(name: str, may: Capabilities) -> str:
    tools = (f"tool {tool}" for tool, said in may.calls.items() if said is None or _reads_outside(said))
    return may.brings or next(tools, "")


def _reads_outside(said: object) -> bool:
    return getattr(said, "effect", "") in ("read", "egress") and not getattr(said, "trusted", False)


def _private(name: str, may: Capabilities) -> str:
    tools = (f"tool {tool}" for tool, said in may.calls.items() if said is not None and said.private)
    return (may.brings if may.private else "") or next(tools, "")


def _only_reads(name: str, may: Capabilities) -> str:
    return f"{name}, which only reads" if may.calls and not may.acting else ""
