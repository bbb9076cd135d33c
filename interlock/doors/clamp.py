"""Clamp: what a client may set of a run. Limits are the graph's own policy; no client can lift one.

Kept of a config: tags, metadata, the recursion limit up to `MOST_STEPS`, and `configurable` without LangGraph's inner
keys. `max_concurrency` is taken out, since it can deadlock a run; durability is `sync`, so that a killed run is whole;
webhooks are refused, so that the server calls nobody; a run starts within `LATEST_SECONDS`. Tenant, role and user are
the caller's.
"""

from collections.abc import MutableMapping
from typing import Any, Final

from interlock.doors.caller import Caller, Denied

MOST_STEPS: Final = 1_000
"""Supersteps of a run: a bound behind the graphs' own ones."""

LATEST_SECONDS: Final = 3_600.0
KEPT: Final = frozenset({"tags", "metadata", "recursion_limit", "configurable", "run_name"})
INNER: Final = ("__pregel", "__langsmith", "langgraph-", "langsmith-", "callbacks")
RESUME: Final = frozenset({"resume"})

Value = MutableMapping[str, Any]


def clamp(run: Value, caller: Caller) -> None:
    """Hold a run that a client wants to what it may set, in place.

    Raises:
        Denied: It wants what it cannot have.
    """
    said: Value = run.setdefault("kwargs", {})
    if said.get("webhook"):
        raise Denied(403, "webhooks are off: wait for the run, or read its result")
    if not 0 <= (run.get("after_seconds") or 0) <= LATEST_SECONDS:
        raise Denied(403, f"a run must start within {LATEST_SECONDS:,.0f} seconds")
    if set(said.get("command") or ()) - RESUME and not caller.at_least("admin"):
        raise Denied(403, "only an admin may set a run's state or its next node: answer with resume")
    said["durability"] = "async" if said.get("temporary") else "sync"  # without a thread nothing is saved, sync fails
    said["checkpoint_during"], said["feedback_keys"] = True, None
    _config(said, caller)


def _config(said: Value, caller: Caller) -> None:
    config: Value = said.setdefault("config", {})
    for name in set(config) - KEPT:
        del config[name]
    config["max_concurrency"] = None  # also instead of an assistant's
    config["recursion_limit"] = max(1, min(int(config.get("recursion_limit") or MOST_STEPS), MOST_STEPS))
    settings: Value = config.setdefault("configurable", {})
    for name in [name for name in settings if name.startswith(INNER)]:
        del settings[name]
    if not caller.local:
        _belongs(said.get("context"), settings, caller)


def _belongs(context: Value | None, settings: Value, caller: Caller) -> None:
    for name in ("tenant", "role", "user_id"):
        (context or {}).pop(name, None)
    settings.update({"tenant": caller.tenant, "role": caller.role, "user_id": caller.identity})
