"""Calls: every model and tool call passes the same gates, in one order: entered before it, left after it.

`guards.calls.gates` lists them. A gate that says no has taken nothing, and the gates before it are left again.
"""

import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Literal, Protocol

from guards.audit.record import record
from guards.errors import Interlock, Permanent, Transient

if TYPE_CHECKING:
    from guards.running.attempt import Attempt

Kind = Literal["model", "tool"]
Usage = tuple[int, int]
"""Input and output tokens."""


class NotMade(Permanent):
    """What a gate is told when a later gate refused the call: it never left this process."""


class Unreported(Permanent):
    """What a gate is told when nobody knows how a call ended: it was cancelled, or its node was left behind."""


class Again(Transient):
    """What a gate is told when the client itself tries once more: how its last try ended.

    Args:
        response: The HTTP client's response.
    """

    def __init__(self, response: Any) -> None:
        super().__init__(f"the client tries again after HTTP {response.status_code}")
        self.status_code = response.status_code
        self.response = response


@dataclass(eq=False)
class Call:
    """One call of a model or a tool.

    Attributes:
        kind: "model" or "tool".
        name: The model's name as its provider calls it, or the tool's.
        provider: Whose rate limit it counts against: the provider and, where it is known, the server.
        attempt: The attempt of the node that makes it.
        role: The agent's role: `interlock_role` in the call's metadata, else "" (the node's name counts).
        input_tokens: An upper estimate of what is sent.
        output_tokens: The most that can come back.
        price: A price that the model carries in its metadata as `interlock_price`.
        began: When it had passed all gates, in seconds of `time.monotonic()`.
        headers: What the provider's reply said beside its content, where that is known.
        key: LangChain's id of it.
        entered: The gates that it has passed; empty when it is over.
        address: Where the client sends it, once it did.
        outcome: How its last HTTP request ended.
        declared: What its tool does (`guards.taint.declared.Declared`), where somebody said so.
        arguments: The tool's.
        output: What the tool returned, as far as somebody may ask.
    """

    kind: Kind
    name: str
    provider: str
    attempt: "Attempt"
    role: str = ""
    input_tokens: int = 0
    output_tokens: int = 0
    price: object = None
    began: float = 0.0
    headers: Mapping[str, str] = field(default_factory=dict, repr=False)
    key: object = None
    entered: "list[Gate]" = field(default_factory=list, repr=False)
    address: str = ""
    outcome: Exception | None = field(default=None, repr=False)
    declared: Any = None
    arguments: Mapping[str, Any] = field(default_factory=dict, repr=False)
    output: str = field(default="", repr=False)


class Gate(Protocol):
    """Something that every call passes. It belongs to no event loop and is used from several threads."""

    async def enter(self, call: Call) -> None:
        """Let the call through, now or after a wait; raise to refuse it, having taken nothing."""

    def leave(self, call: Call, error: BaseException | None, usage: Usage | None) -> None:
        """The call is over; never blocks.

        Args:
            call: The same object that entered.
            error: Why it failed: the client's error, `Again`, `NotMade`, `Unreported`; None when it did not.
            usage: What the provider says it used; None when nobody knows.
        """


async def enter(call: Call, gates: Sequence[Gate]) -> None:
    """Pass the gates, all or none.

    Raises:
        Permanent: The attempt is over, or a gate refused.
    """
    try:
        for gate in gates:
            _check_open(call)
            await gate.enter(call)
            call.entered.append(gate)
        _check_open(call)
    except BaseException as error:
        if isinstance(error, Interlock):
            record("refused", f"{call.kind} call", agent=call.attempt.node, tool=call.name, rules=[rule_of(error)])
        leave(call, NotMade("a later gate refused the call"), None)
        raise
    if call.kind == "tool":
        record("allowed", "tool call", agent=call.attempt.node, tool=call.name)
    call.began = time.monotonic()
    call.attempt.calls[call.key] = call


def rule_of(error: Interlock) -> str:
    """What refused, without any value: the error's kind, and the limit's name."""
    return f"{type(error).__name__} {getattr(error, 'limit', '')}".strip()


def leave(call: Call, error: BaseException | None, usage: Usage | None) -> None:
    """Leave the gates, the last one first; once."""
    while call.entered:
        call.entered.pop().leave(call, error, usage)


def leave_open_calls(attempt: "Attempt") -> None:
    """Leave with the calls that never reported back: cancelled ones and those of a node left behind."""
    while attempt.calls:
        leave(attempt.calls.popitem()[1], Unreported("nobody knows how the call ended"), None)


def strictest(call: Call, limit: str) -> int | None:
    """The lowest value of a policy's limit among the run's and those of the runs around it; None when it is off."""
    stated = (getattr(link.scope.policy, limit) for link in call.attempt.chain())
    return min((value for value in stated if value is not None), default=None)


def _check_open(call: Call) -> None:
    if not call.attempt.open:
        raise Permanent("the node's time is over; its late calls are not made")
