"""Asking: a person is asked a question, and the answer counts for that question and no other.

LangGraph begins a node anew when an answer has come, and hands the answers out in the order in which the node asks. By
then it may ask about something else first, or the state may have been changed. So an answer is taken only by the
question that was asked last; the checkpoint remembers which that was.
"""

import hashlib
import json
from collections.abc import Mapping
from typing import Any

from guards.errors import Permanent
from guards.running.current import current_attempt
from guards.running.wiring import next_question


class Misdirected(Permanent):
    """The answer that waits was given to another question."""

    def __init__(self) -> None:
        super().__init__("a person was asked about something else: ask again, one question a node")


def identity(*parts: Any) -> str:
    """What tells one question from another: the same for the same parts, in every process."""
    return hashlib.sha256(json.dumps(parts, sort_keys=True, default=str).encode()).hexdigest()[:16]


def agreed(question: Mapping[str, Any], ident: str, first_of: str = "") -> bool:
    """Ask a yes-or-no question; whether a person said yes. Only `true` or "yes" is one.

    Args:
        question: What the person is shown.
        ident: What tells it from others (`identity`).
        first_of: The question that its node asks next about the same thing, whose answer may wait too.

    Raises:
        Misdirected: The answer that waits was given to another question.
    """
    from langgraph.types import interrupt

    _check_own(ident, first_of)
    answer = interrupt({**question, "id": ident, "answers": ["yes", "no"]})
    return answer is True or str(answer).strip().lower() in ("yes", "true")


def _check_own(ident: str, first_of: str) -> None:
    attempt = current_attempt.get()
    left = 0 if attempt is None else attempt.answers - next_question()
    if left <= 0 or attempt is None:
        return
    last = attempt.asked[-1] if attempt.asked else None
    ident_of_last = str(last.get("id", "")) if isinstance(last, Mapping) else ""
    own = left == 1 and ident_of_last == ident
    before = left <= 2 and first_of != "" and ident_of_last == first_of
    if not (own or before):
        raise Misdirected
