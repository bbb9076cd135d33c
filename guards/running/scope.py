"""Scope: the live side of a run in this process.

What must last (times, counts, money) is in the state's `run` record; a scope is made from it and can be made again, so
a resumed run and a running one are the same thing. Scopes are found by run id or by thread id; the idle ones that were
used last are kept, `SCOPES_KEPT` in all, so that nothing piles up.
"""

import asyncio
import threading
import time
from collections import OrderedDict
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any
from weakref import ReferenceType

from guards.ledger.amount import NOTHING, Amount, of_spent
from guards.policy import Policy
from guards.taint.acts import narrower
from state.guarded import Run
from state.label import PROGRAM, Label

if TYPE_CHECKING:
    from guards.running.attempt import Attempt

SCOPES_KEPT = 1_000
REQUESTS_KEPT = 1_000
STOP_SECONDS = 1.5
"""What the closing nodes together may take after a stop was requested."""


@dataclass
class StopRequest:
    """Somebody wants a run to end now.

    Attributes:
        reason: Why.
        until: When its closing nodes must have ended, in seconds since the epoch.
    """

    reason: str
    until: float


@dataclass(eq=False)
class Scope:
    """One run, as long as a node of it is active here.

    Attributes:
        run: The record when the scope was made; `run.id` is its name.
        thread: The thread id, empty without a checkpointer.
        policy: The graph's limits.
        tenant: Who the run is for: `configurable.tenant` of its config, else "".
        role: What its caller may do: `configurable.role`, else ""; of several callers the least.
        known: What the run's record says is spent; its books are in the store (`guards.ledger.ledger`).
        used: What was spent and set aside in the run after the last call was reserved.
        foreign: Whether the run was begun elsewhere: in another process, or so long ago that this one forgot it.
        called: Tasks that made calls here.
        degraded: Steps down that were taken.
        turn: Whose turn it is, when nodes of one step run one after the other.
        beginning: The look at what the run may take, before its first node.
        attempts: Attempts that are running now.
        taint: The label of all that the run has read, and values that the user's own records vouch for.
        wrote: By key without a reducer: the step and the task that wrote it last.
        tried: Its attempts, each for as long as something of it is alive.
    """

    run: Run
    thread: str
    policy: Policy
    tenant: str = ""
    role: str = ""
    known: Amount = NOTHING
    used: Amount = NOTHING
    foreign: bool = False
    called: set[str] = field(default_factory=set)
    degraded: set[str] = field(default_factory=set)
    turn: "asyncio.Lock | None" = None
    beginning: "asyncio.Future[Any] | None" = None
    attempts: "set[Attempt]" = field(default_factory=set)
    taint: tuple[Label, str] = (PROGRAM, "")
    wrote: dict[str, tuple[str, str]] = field(default_factory=dict)
    tried: "list[ReferenceType[Attempt]]" = field(default_factory=list)

    def deadline(self, closing: bool, paused: float) -> float:
        """When work must end, in seconds since the epoch; infinite without a deadline."""
        end = float("inf") if self.run.deadline is None else self.run.deadline + paused + _extended(self)
        request = stop_request(self)
        if request is not None:
            end = min(end, request.until)
        return end if closing else end - self._closing_seconds()

    def _closing_seconds(self) -> float:
        """What closing nodes keep for themselves; a sub-agent's run may be shorter than its own policy allows."""
        window = float("inf") if self.run.deadline is None else self.run.deadline - self.run.started
        return min(self.policy.closing_seconds, window / 5)

    def claim_key(self, key: str, step: str, task: str) -> str:
        """Note who writes a key without a reducer; returns the other task that wrote it in the same step, if any."""
        last_step, other = self.wrote.setdefault(key, (step, task))
        if step == last_step and other != task:
            return other
        self.wrote[key] = (step, task)
        return ""


_scopes: dict[str, Scope] = {}
_threads: dict[str, Scope] = {}
_requests: "OrderedDict[str, StopRequest]" = OrderedDict()
_extensions: "OrderedDict[str, float]" = OrderedDict()
_idle: "OrderedDict[str, float]" = OrderedDict()
_begun: "OrderedDict[str, bool]" = OrderedDict()
_lock = threading.Lock()


def enter(run: Run, thread: str, policy: Policy, tenant: str = "", role: str = "") -> Scope:
    """The run's live scope, made from its record when nobody holds one."""
    scope = _scopes.get(run.id)
    if scope is None:
        with _lock:
            _drop_idle(_scopes)
            foreign = not _begun.pop(run.id, False)
            scope = _scopes.setdefault(run.id, Scope(run, thread, policy, tenant, role, foreign=foreign))
    if role != scope.role:
        scope.role = narrower(narrower("admin", scope.role), role)
    if run.spent.calls or run.spent.tool_calls:
        scope.known = scope.known.at_least(of_spent(run.spent))
    return scope


def close(scope: Scope) -> None:
    """A run has ended here: nobody will look for it, unless it is resumed, which makes its scope anew."""
    with _lock:
        if not scope.attempts:
            _scopes.pop(scope.run.id, None)


def note_begin(run: str) -> None:
    """A new run begins here, so its tasks have never been executed elsewhere."""
    with _lock:
        _keep(_begun, run, True)


def scope_of(run: str) -> Scope | None:
    """The live scope of a run, if there is one."""
    return _scopes.get(run)


def claim_thread(scope: Scope, key: str) -> Run | None:
    """Take the thread for this run; returns the older run that is using it now, if there is one."""
    if not key:
        return None
    with _lock:
        _drop_idle(_threads)
        other = _threads.get(key)
        if other is None or other.run.id == scope.run.id or not other.attempts:
            _threads[key] = scope
            return None
        if other.run.started > scope.run.started:
            _threads[key] = scope
            return None
        return other.run


def request_stop(name: str, reason: str, seconds: float = STOP_SECONDS) -> bool:
    """End a run now: running nodes are cancelled, closing nodes and fallbacks finish within `seconds`.

    Args:
        name: The run's id or its thread id.
        reason: One line; it becomes the run's `stop_reason`.
        seconds: What the closing nodes together may take.

    Returns:
        Whether a node of that run was active in this process. If none was, the run ends at its next node.
    """
    with _lock:
        _keep(_requests, name, StopRequest(reason, time.time() + seconds))
        scopes = [scope for scope in _scopes.values() if name in (scope.run.id, scope.thread)]
    for scope in scopes:
        for attempt in list(scope.attempts):
            attempt.stop(reason)
    return any(scope.attempts for scope in scopes)


def stop_request(scope: Scope) -> StopRequest | None:
    """The pending stop request for this run, if any."""
    return _requests.get(scope.run.id) or (_requests.get(scope.thread) if scope.thread else None)


def forget_stop(name: str) -> None:
    """Withdraw a stop request: a new run begins on that thread, or an old one is resumed."""
    with _lock:
        _requests.pop(name, None)


def extend(name: str, seconds: float) -> None:
    """Give a run more time in this process (its deadline otherwise survives a resume).

    Args:
        name: The run's id or its thread id.
        seconds: Added to the deadline.
    """
    with _lock:
        _keep(_extensions, name, seconds)


def set_idle(run: str, seconds: float) -> None:
    """Tell how long a run has stood still because its process had died; that moves its deadline and is no time spent.

    Args:
        run: The run's id.
        seconds: All of it since the run began, the time that it has waited for a person included.
    """
    with _lock:
        _keep(_idle, run, seconds)


def idle(run: Run) -> float:
    """Seconds that the run has stood still, as far as this process knows."""
    return max(run.paused, _idle.get(run.id, 0.0))


def _extended(scope: Scope) -> float:
    return _extensions.get(scope.run.id, 0.0) or _extensions.get(scope.thread, 0.0)


def _drop_idle(scopes: dict[str, Scope]) -> None:
    """Make room: the oldest scopes that nobody works for go."""
    if len(scopes) >= SCOPES_KEPT:
        for name in [name for name, scope in scopes.items() if not scope.attempts][: SCOPES_KEPT // 2]:
            del scopes[name]


def _keep(table: OrderedDict[str, Any], name: str, value: Any) -> None:
    """Remember one entry; the oldest goes when there are too many."""
    table[name] = value
    table.move_to_end(name)
    while len(table) > REQUESTS_KEPT:
        table.popitem(last=False)
