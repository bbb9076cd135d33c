"""Floor 2: what keeps a run in its limits: `graph = guard(build(), POLICY)`. No workflow's word, no vendor's SDK."""

from guards.approve import approve
from guards.as_data import as_data
from guards.calls.breaker import Breaker
from guards.checks.check import check
from guards.clean import INPUT, OUTPUT, clean
from guards.coordinate import coordinate
from guards.debate import debate
from guards.degrade import Step, degraded
from guards.describe import describe
from guards.ending.apart import apart
from guards.ending.reaper import Reaped, reaped
from guards.errors import Interlock, LimitReached, Permanent, Refused, Stopped, TimedOut, Transient, Unsafe
from guards.fallback import closing, fallback
from guards.gather import gather
from guards.guard import guard, is_guarded, policy_of
from guards.ledger.limits import Limits
from guards.loop import loop
from guards.policy import Policy
from guards.remember import remember
from guards.running.attempt import remaining
from guards.running.current import detached
from guards.running.scope import extend, request_stop
from guards.taint.acts import Acts
from guards.taint.agent import agent
from guards.taint.declared import declare
from guards.trim import trim
from guards.worst_case.ceiling import ceiling

__all__ = [
    "INPUT",
    "OUTPUT",
    "Acts",
    "Breaker",
    "Interlock",
    "LimitReached",
    "Limits",
    "Permanent",
    "Policy",
    "Reaped",
    "Refused",
    "Step",
    "Stopped",
    "TimedOut",
    "Transient",
    "Unsafe",
    "agent",
    "apart",
    "approve",
    "as_data",
    "ceiling",
    "check",
    "clean",
    "closing",
    "coordinate",
    "debate",
    "declare",
    "degraded",
    "describe",
    "detached",
    "extend",
    "fallback",
    "gather",
    "guard",
    "is_guarded",
    "loop",
    "policy_of",
    "reaped",
    "remaining",
    "remember",
    "request_stop",
    "trim",
]
