"""Floor 2: what keeps a run in its limits: `graph = guard(build(), POLICY)`. No workflow's word, no vendor's SDK."""

from guards.apart import apart
from guards.attempt import remaining
from guards.breaker import Breaker
from guards.ceiling import ceiling
from guards.check import check
from guards.clean import INPUT, OUTPUT, clean
from guards.coordinate import coordinate
from guards.current import detached
from guards.debate import debate
from guards.degrade import Step, degraded
from guards.describe import describe
from guards.errors import Interlock, LimitReached, Permanent, Refused, Stopped, TimedOut, Transient, Unsafe
from guards.fallback import closing, fallback
from guards.gather import gather
from guards.guard import guard, is_guarded, policy_of
from guards.limits import Limits
from guards.loop import loop
from guards.policy import Policy
from guards.reaper import Reaped, reaped
from guards.remember import remember
from guards.scope import extend, request_stop
from guards.trim import trim

__all__ = [
    "INPUT",
    "OUTPUT",
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
    "apart",
    "ceiling",
    "check",
    "clean",
    "closing",
    "coordinate",
    "debate",
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
