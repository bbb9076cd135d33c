"""Once: a call that changes the world is noted in the ledger's store before it is made.

A task that runs again after a crash finds the note of what its first execution began, and a person decides whether that
is done again: nobody knows whether it arrived. Two equal calls of one execution are two.
"""

import time
from typing import Final

from guards.calls.calls import Call
from guards.ledger.entries import RUN_KEPT
from guards.running.asking import identity
from guards.stores import Rows
from guards.stores.chosen import store

PREFIX: Final = "act:"


async def begun_before(call: Call) -> bool:
    """Note that a call is about to be made; whether an earlier execution of its task noted the same one.

    Raises:
        StoreDown: The store does not answer, so the call is not made.
    """
    attempt, ident = call.attempt, identity(call.name, dict(call.arguments))
    number = attempt.taint.counted(ident)
    key = f"{PREFIX}{attempt.scope.run.id}|{attempt.place}|{ident}|{number}"
    found: list[bool] = []

    def note(rows: Rows) -> Rows:
        found.append(rows[key] is not None)
        return {key: {"until": time.time() + RUN_KEPT}}

    await store().change([key], note)
    return found[0]
