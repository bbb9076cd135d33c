"""Approve: a person reads a value and says yes; then it is the user's own word (guide: G4, the human gate).

What counts: the value of one key. At the limit: what is longer than a person can be shown is refused unseen, and so is
what a person says no to. Not covered: whether the person reads it.
"""

from collections.abc import Awaitable, Callable
from typing import Any, Final

from guards.audit.record import record
from guards.errors import Permanent
from guards.running.asking import agreed, identity
from guards.taint.agent import Capabilities, put
from guards.text.records import read

LONGEST: Final = 20_000
"""Characters that a person is shown."""


def approve(key: str, *, into: str) -> Callable[..., Awaitable[dict[str, Any]]]:
    """A node that waits until a person has said yes to a value, and then writes it under another key.

    Agents that read that key have something that a person vouches for; the key it came from keeps its label.

    Args:
        key: The state key that the person is shown.
        into: The state key for what was agreed to.
    """

    async def ask(state: Any) -> dict[str, Any]:
        value = read(state, key)
        text = value if isinstance(value, str) else repr(value)
        if len(text) > LONGEST:
            raise Permanent(f"'{key}' has {len(text):,} characters; a person is shown {LONGEST:,} at most")
        yes = agreed({"kind": "approval", "key": key, "value": text}, identity("approval", key, text))
        record("approved" if yes else "denied", "value", text=text, rules=[key])
        if not yes:
            raise Permanent(f"a person said no to '{key}'")
        return {into: value}

    return put(ask, Capabilities(frozenset([key]), frozenset([into]), approves=frozenset([into]), ours=True))
