"""Record: add a decision to the audit log. It lives in the ledger's store; writing never blocks an event loop.

What counts: refused and flagged inputs, redactions, tool calls, calls that a limit, a rate or a circuit refused, and
what people answered. Units: entries. At the limit: a store that is down loses entries, with an error in the log; the
chain then has no gap, for it never had them. Not covered: what a node does without telling anybody.
"""

import os
import time
from collections.abc import Iterable
from functools import lru_cache
from pathlib import Path
from typing import Any, Final, Literal

from guards.audit.chain import HEAD, appending, hash_of_text
from guards.folder import data_folder
from guards.running.current import current_attempt
from guards.stores import Decide, Rows
from guards.stores.chosen import store
from guards.text.sweep import hidden

Decision = Literal["allowed", "refused", "asked", "approved", "denied", "redacted", "withheld", "flagged"]

FILE: Final = "audit.key"
BYTES: Final = 32
RULES: Final = 20
NAME: Final = 200
"""Rule ids of an entry, and characters of each name in it."""


def record(
    decision: Decision,
    what: str,
    *,
    agent: str = "",
    tool: str = "",
    taint: Iterable[str] = (),
    rules: Iterable[str] = (),
    text: str | None = None,
    run: str = "",
) -> None:
    """Note a decision; it is written soon, in the order of the calls. `await written()` waits for it.

    Args:
        decision: What was decided.
        what: On what: "input", "output", "tool call", "model call", "run".
        agent: The node; the one that is running when not given.
        tool: The tool or model.
        taint: Where the text came from.
        rules: Which rules or limits spoke; never a part of the text.
        text: What it was about: its keyed hash is kept, nothing else.
        run: The run's id; the current one's when not given.
    """
    attempt = current_attempt.get()
    scope = attempt.scope if attempt is not None else None
    facts = {
        "at": round(time.time(), 3),
        "decision": decision,
        "what": what[:NAME],
        "tenant": scope.tenant[:NAME] if scope else "",
        "run": run or (scope.run.id if scope else ""),
        "agent": (agent or (attempt.node if attempt else ""))[:NAME],
        "tool": tool[:NAME],
        "taint": sorted({one[:NAME] for one in taint})[:RULES],
        "rules": list(dict.fromkeys(one[:NAME] for one in rules))[:RULES],
    }
    store().change_soon([HEAD], _noting(facts, text))


def _noting(facts: dict[str, Any], text: str | None) -> Decide:
    """The change; the text is hashed in the store's thread, where the key may be read from its file."""

    def decide(rows: Rows) -> Rows:
        said = {} if text is None else {"text": hash_of_text(text, log_key())}
        return appending(hidden({**facts, **said}), log_key)(rows)

    return decide


async def written() -> None:
    """Wait until everything that was recorded is in the log.

    Raises:
        StoreDown: It cannot be written.
    """
    await store().settled()


def log_key() -> bytes:
    """The log's key: INTERLOCK_AUDIT_KEY in hex, else a file of its own in the data folder, made when missing."""
    stated = os.environ.get("INTERLOCK_AUDIT_KEY", "")
    return bytes.fromhex(stated) if stated else _own_key(data_folder() / FILE)


@lru_cache(maxsize=8)
def _own_key(path: Path) -> bytes:
    try:
        descriptor = os.open(path, os.O_CREAT | os.O_EXCL | os.O_WRONLY | os.O_CLOEXEC, 0o600)
    except FileExistsError:
        return _read(path)
    with os.fdopen(descriptor, "wb") as file:
        file.write(os.urandom(BYTES))
    return path.read_bytes()


def _read(path: Path) -> bytes:
    """Another process may be just writing it."""
    for _ in range(100):
        if len(key := path.read_bytes()) == BYTES:
            return key
        time.sleep(0.01)
    raise ValueError(f"{path} is no key of {BYTES} bytes: put the right one back, or verify the log and begin another")
