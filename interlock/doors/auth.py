"""Auth: LangGraph's server asks here who calls, and what they see. langgraph.json names `auth`.

A tenant sees its own threads, runs and store, and the assistants that are everybody's. What is not named is refused.
"""

from collections.abc import MutableMapping
from typing import Any, Final

from langgraph_sdk import Auth

from interlock.doors.caller import Caller, Denied
from interlock.doors.clamp import clamp
from interlock.doors.login import caller_of
from interlock.doors.noted import note

auth: Final = Auth()

Value = MutableMapping[str, Any]
Filter = dict[str, Any]

LOOKS: Final = ("read", "search")
STORE_LOOKS: Final = ("get", "search", "list_namespaces")
SYSTEM: Final = "system"
"""Who made the assistants that are the graphs themselves."""


@auth.authenticate
async def authenticate(scope: dict[str, Any]) -> Any:
    """The user of a request."""
    try:
        return (await caller_of(scope)).as_user()
    except Denied as denied:
        raise Auth.exceptions.HTTPException(status_code=denied.status, detail=denied.why) from None


@auth.on
async def decide(ctx: Auth.types.AuthContext, value: Any) -> Filter | None:
    """Whether a caller may do something; which things it may do it to; and what it may set."""
    try:
        caller = Caller.of_user(ctx.user)
        return _RESOURCES.get(str(ctx.resource), _refused)(caller, str(ctx.action), value)
    except Denied as denied:
        note(denied, f"{ctx.resource} {ctx.action}", str(ctx.user.identity))
        raise Auth.exceptions.HTTPException(status_code=denied.status, detail=denied.why) from None


def _threads(caller: Caller, action: str, value: Value) -> Filter | None:
    """Threads and their runs."""
    if action == "create_run":
        _need(caller, "operator")
        clamp(value, caller)
    elif action == "update" and set(value) <= {"thread_id"}:
        _need(caller, "admin")  # no metadata: it writes the thread's state
    elif action not in LOOKS:
        _need(caller, "operator")
    if caller.local:
        return None
    _mark(caller, action, value)
    return {"tenant": caller.tenant}


def _assistants(caller: Caller, action: str, value: Value) -> Filter | None:
    if action not in LOOKS:
        _need(caller, "admin")
    if caller.local:
        return None
    _mark(caller, action, value)
    own = {"tenant": caller.tenant}
    return {"$or": [{"created_by": SYSTEM}, own]} if action in LOOKS else own


def _store(caller: Caller, action: str, value: Value) -> Filter | None:
    """The first part of a namespace is the tenant's; none given means all of its own."""
    if action not in STORE_LOOKS:
        _need(caller, "operator")
    if caller.local:
        return None
    namespace = tuple(value.get("namespace") or ())
    if not namespace and action in ("search", "list_namespaces"):
        namespace = (caller.tenant,)
    if namespace[:1] != (caller.tenant,):
        raise Denied(403, f"your namespaces begin with '{caller.tenant}'")
    value["namespace"] = namespace
    return None


def _crons(caller: Caller, action: str, value: Value) -> Filter | None:
    """A cron would go on when its key is revoked, and at night when nobody looks."""
    if not caller.local:
        raise Denied(403, "crons are off: let a scheduler of yours call with a key of its own")
    return None


def _refused(caller: Caller, action: str, value: Value) -> Filter | None:
    raise Denied(403, "this is not offered here")


_RESOURCES: Final = {"threads": _threads, "assistants": _assistants, "store": _store, "crons": _crons}


def _need(caller: Caller, role: Any) -> None:
    if not caller.at_least(role):
        raise Denied(403, f"this needs the role '{role}', yours is '{caller.role}'")


def _mark(caller: Caller, action: str, value: Value) -> None:
    """What is made or changed belongs to the caller's tenant, whatever its metadata says."""
    if action not in ("create", "update", "create_run"):
        return
    metadata = value.get("metadata")
    if not isinstance(metadata, dict):
        metadata = value["metadata"] = {}
    if action == "update":
        metadata.pop("owner", None)
    else:
        metadata["owner"] = caller.identity
    metadata.pop("created_by", None)
    metadata["tenant"] = caller.tenant
