"""Calls: what goes wrong with every model call of a trial, and how many were really made."""

import asyncio
import random
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Final

from guards.calls import gates
from guards.calls.calls import Call, Usage
from guards.errors import Transient

STORM: Final = 0.7
"""Part of the calls that a storm hits."""


class Storm:
    """A gate behind which the provider misbehaves; it counts the calls that get through.

    Args:
        fault: "429 storm", "resets", "partition", or nothing.
        seed: Which calls are hit.
    """

    def __init__(self, fault: str, seed: int) -> None:
        self.fault = fault
        self.made = 0
        self._chance = random.Random(seed)  # noqa: S311 - reproducible

    async def enter(self, call: Call) -> None:
        """Let the call through, or not."""
        if call.kind != "model":
            return
        if self.fault == "partition":
            await asyncio.Event().wait()
        if self.fault and self._chance.random() < STORM:
            raise _refusal(self.fault)
        self.made += 1

    def leave(self, call: Call, error: BaseException | None, usage: Usage | None) -> None:
        """Nothing was taken."""


def _refusal(fault: str) -> Exception:
    if fault == "resets":
        return ConnectionResetError("reset")
    refusal = Transient("too many requests", retry_after=0.01)
    refusal.status_code = 429  # type: ignore[attr-defined]
    return refusal


@contextmanager
def storm(fault: str, seed: int) -> Iterator[Storm]:
    """Put the gate behind all others, where the call would leave."""
    before, gate = gates.GATES, Storm(fault, seed)
    gates.GATES = (*before, gate)
    try:
        yield gate
    finally:
        gates.GATES = before
