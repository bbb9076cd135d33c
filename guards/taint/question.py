"""Question: a person is asked about one call of a node.

The answer counts for that call and no other (`guards.running.asking`); a node asks about one call; and a node that has
changed the world already asks no more, since it begins anew with the answer and would change it twice.
"""

from typing import Any, Final

from guards.audit.record import record
from guards.calls.calls import Call
from guards.running.asking import Misdirected, agreed, identity
from guards.taint.declared import Declared
from guards.taint.refusal import Refusal

SHOWN: Final = 500
"""Characters of an argument that the person is shown."""

APART: Final = "let each node make one call that changes the world"


def ask(call: Call, said: Declared, why: list[str], again: bool = False) -> None:
    """Wait until a person has said yes.

    Args:
        call: What is to be called.
        said: What that does.
        why: The reasons, in words.
        again: It may have been made already; a second question about the same call.

    Raises:
        Refusal: A person said no, or cannot be asked any more.
    """
    taint = call.attempt.taint
    if taint.acted:
        raise Refusal(call.name, f"a person must agree, and its node has called '{taint.acted}' already: {APART}")
    if taint.answered and not again:
        raise Refusal(call.name, f"its node has asked about another call: {APART}")
    entry: dict[str, Any] = {"agent": call.attempt.node, "tool": call.name, "taint": taint.label.sources, "rules": why}
    record("asked", "tool call", **entry)
    first, second = identity(call.name, dict(call.arguments)), identity(call.name, dict(call.arguments), "again")
    try:
        yes = agreed(_shown_to_person(call, said, why), second if again else first, "" if again else second)
    except Misdirected:
        raise Refusal(call.name, f"a person was asked about something else of its node: {APART}") from None
    taint.answered = True
    record("approved" if yes else "denied", "tool call", **entry)
    if not yes:
        raise Refusal(call.name, "a person said no")


def _shown_to_person(call: Call, said: Declared, why: list[str]) -> dict[str, Any]:
    label = call.attempt.taint.label
    return {
        "kind": "tainted call",
        "tool": call.name,
        "effect": said.effect,
        "to": {name: _shown(call.arguments.get(name)) for name in said.sinks if name in call.arguments},
        "arguments": {name: _shown(value) for name, value in call.arguments.items()},
        "why": why,
        "sources": list(label.sources),
        "confidentiality": label.confidentiality,
    }


def _shown(value: Any) -> str:
    text = str(value)
    return text if len(text) <= SHOWN else f"{text[:SHOWN]}... ({len(text):,} characters)"
