"""Question: a person is asked about one call of a node, and the answer counts for that call and no other.

LangGraph begins a node anew when an answer has come, and gives the answers out in the order in which the node asks. So
an answer is taken only by the call that it was asked about last; a node asks about one call; and a node that has
changed the world already asks no more, since it would change it twice.
"""

import hashlib
import json
from collections.abc import Mapping
from typing import Any, Final

from guards.audit.record import record
from guards.calls.calls import Call
from guards.running.wiring import next_question
from guards.taint.answers import says_yes
from guards.taint.declared import Declared
from guards.taint.refusal import Refusal

SHOWN: Final = 500
"""Characters of an argument that the person is shown."""

AGAIN: Final = " again"


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
    from langgraph.types import interrupt

    taint, ident = call.attempt.taint, digest(call)
    _check_may_ask(call, ident, again)
    entry: dict[str, Any] = {"agent": call.attempt.node, "tool": call.name, "taint": taint.label.sources, "rules": why}
    record("asked", "tool call", **entry)
    agreed = says_yes(interrupt(_shown_to_person(call, said, why, ident + AGAIN * again)))
    taint.answered = True
    record("approved" if agreed else "denied", "tool call", **entry)
    if not agreed:
        raise Refusal(call.name, "a person said no")


def digest(call: Call) -> str:
    """What tells one call from another."""
    told = json.dumps([call.name, dict(call.arguments)], sort_keys=True, default=str)
    return hashlib.sha256(told.encode()).hexdigest()[:16]


def _check_may_ask(call: Call, ident: str, again: bool) -> None:
    taint = call.attempt.taint
    if taint.acted:
        raise Refusal(call.name, f"a person must agree, and its node has called '{taint.acted}' already: {_APART}")
    left = taint.answers - next_question()
    if left > 0:
        last = _last_asked(taint.asked)
        own = left == 1 and last == ident + AGAIN * again
        before = not again and left <= 2 and last == ident + AGAIN
        if not (own or before):
            raise Refusal(call.name, f"a person was asked about something else of its node: {_APART}")
    elif taint.answered and not again:
        raise Refusal(call.name, f"its node has asked about another call: {_APART}")


_APART: Final = "let each node make one call that changes the world"


def _last_asked(asked: tuple[Any, ...]) -> str:
    return str(asked[-1].get("id", "")) if asked and isinstance(asked[-1], Mapping) else ""


def _shown_to_person(call: Call, said: Declared, why: list[str], ident: str) -> dict[str, Any]:
    label = call.attempt.taint.label
    return {
        "kind": "tainted call",
        "id": ident,
        "tool": call.name,
        "effect": said.effect,
        "to": {name: _shown(call.arguments.get(name)) for name in said.sinks if name in call.arguments},
        "arguments": {name: _shown(value) for name, value in call.arguments.items()},
        "why": why,
        "sources": list(label.sources),
        "confidentiality": label.confidentiality,
        "answers": ["yes", "no"],
    }


def _shown(value: Any) -> str:
    text = str(value)
    return text if len(text) <= SHOWN else f"{text[:SHOWN]}... ({len(text):,} characters)"
